#include "allocator.h"

// jemalloc reads this when the process starts. Two arenas, since a service has one busy thread and librdkafka's; what is
// free goes back to the system after two seconds.
const char *malloc_conf = "narenas:2,dirty_decay_ms:2000,muzzy_decay_ms:0";
