/* Toys to test the harness with: one is sound, and each of the others has one fault, which must be found. */
#ifndef PD_TESTS_CRASH_TOY_WORKLOAD_H
#define PD_TESTS_CRASH_TOY_WORKLOAD_H

#include "workload.h"

extern const struct workload toy_sound, toy_no_log_sync, toy_no_snapshot_sync, toy_no_directory_sync,
	toy_early_mark, toy_no_checksum, toy_unseen;

#endif
