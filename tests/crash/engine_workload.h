/* The whole engine: log, state, checkpoints, trimming. */
#ifndef PD_TESTS_CRASH_ENGINE_WORKLOAD_H
#define PD_TESTS_CRASH_ENGINE_WORKLOAD_H

#include "workload.h"

extern const struct workload engine_memory;

#endif
