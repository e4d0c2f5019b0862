/* Levels alone: batches, compaction, checkpoints, reopening. */
#ifndef PD_TESTS_CRASH_LEVELS_WORKLOAD_H
#define PD_TESTS_CRASH_LEVELS_WORKLOAD_H

#include "workload.h"

extern const struct workload levels_rocksdb, levels_plain;

#endif
