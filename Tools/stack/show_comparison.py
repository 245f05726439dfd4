#!/usr/bin/env python3
"""show_comparison.py: the line of JSON of the reference's comparison, read from standard input, as a table."""
import json
import sys

ROWS = (("per_second", "lifecycles/s"), ("p50_ms", "p50 POST to receipt, ms"), ("p99_ms", "p99, ms"), ("cpu_ms", "CPU of the machine per lifecycle, ms"))


def main():
    got = json.load(sys.stdin)
    for load, title in (("closed", f"{got['in_flight']} in flight"), ("open", f"{got['rate']}/s")):
        part = got[load]
        print(f"  {title:<38}{'Martlet':>10}{'reference':>11}{'ratio':>8}   from .. to")
        for name, words in ROWS:
            low, high = part["from_to"][name]
            print(f"    {words:<36}{part['martlet'][name]:>10}{part['reference'][name]:>11}{part['ratio'][name]:>8}   {low} .. {high}")
    print(f"  at rest the whole machine takes {got['quiet_cpu_ms_per_s']} ms of CPU a second; rounds: {got['rounds']} of {got['seconds']} s")


main()
