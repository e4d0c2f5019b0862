#include "engine_workload.h"
#include "levels_workload.h"
#include "toy_workload.h"
#include "workload.h"

const struct workload *const workloads[] = {
	&levels_rocksdb,
	&levels_plain,
	&engine_rocksdb,
	&engine_plain,
	&engine_memory,
	&toy_sound,
	&toy_no_log_sync,
	&toy_no_snapshot_sync,
	&toy_no_directory_sync,
	&toy_early_mark,
	&toy_no_checksum,
	&toy_unseen,
	NULL,
};
