/* Durability levels: when a reply may be given. They never change the order or the content of the log. */
#ifndef PD_LOG_LEVEL_H
#define PD_LOG_LEVEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

enum pd_level {
	PD_LEVEL_UNSET = 0,   /* ask the next one: operation, actor, tenant, server */
	PD_LEVEL_NONE,        /* evaluated; never synced for its own sake */
	PD_LEVEL_PERFORMANCE, /* in the log's memory, synced within sync_interval */
	PD_LEVEL_STANDARD,    /* handed to the kernel, synced within sync_interval */
	PD_LEVEL_STRICT,      /* on stable storage */
	PD_LEVEL_FULL,        /* and in the levels of the state, too: nothing to replay */
	PD_LEVEL_CRITICAL,    /* strict, on a quorum of machines */
	PD_LEVEL_COUNT,
};

const char *pd_level_name(enum pd_level level);
/* Any case. false: no such level. */
bool pd_level_parse(struct pd_slice name, enum pd_level *ret_level);

#endif
