/* The whole engine: log, state, checkpoints, trimming. */
#ifndef PD_TESTS_CRASH_ENGINE_WORKLOAD_H
#define PD_TESTS_CRASH_ENGINE_WORKLOAD_H

#include "workload.h"

/* State in RocksDB, in plain levels, in memory only. */
extern const struct workload engine_rocksdb, engine_plain, engine_memory;

#endif
