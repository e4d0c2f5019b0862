#include "levels_workload.h"
#include "toy_workload.h"
#include "workload.h"

const struct workload *const workloads[] = {
	&levels_rocksdb,        &levels_plain,   &toy_sound,       &toy_no_log_sync, &toy_no_snapshot_sync,
	&toy_no_directory_sync, &toy_early_mark, &toy_no_checksum, &toy_unseen,      NULL,
};
