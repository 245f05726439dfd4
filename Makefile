# The only commands that anyone has to know. Each is a script under Tools/stack.
.DEFAULT_GOAL := help
.PHONY: help demo test up down clean status check format bench docs install build
MAKEFLAGS += --no-print-directory

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1|/' | awk -F'|' '{ printf "  make %-8s %s\n", $$1, $$2 }'

demo: ## install, build, start the stack, and show what Martlet does
	@Tools/stack/demo.sh

test: ## install what is needed and run all tests
	@Tools/stack/test.sh

up: install build ## start what is not running of the stack (REPLICAS=2: two of each service)
	@Tools/stack/up.sh $(REPLICAS)

down: ## end the stack; its data stays
	@Tools/stack/down.sh

clean: ## end the stack and drop its data
	@Tools/stack/clean.sh

status: ## what runs
	@Tools/stack/status.sh

check: install ## format, warnings, layers
	@Tools/stack/check.sh

format: install ## put the Swift sources into the house's format
	@Tools/stack/format.sh

bench: install build ## measure, and print what one command costs (GROUP=registry: the registry with a million devices; GROUP=config: a binding of 100,000)
	@Tools/stack/bench.sh

docs: install ## write docs/lifecycle.md anew from the code
	@MARTLET_WRITE_DOCS=1 swift test --filter '^CommandsTests\.LifecycleTests'

install:
	@Tools/stack/install.sh

build:
	@Tools/stack/build.sh
