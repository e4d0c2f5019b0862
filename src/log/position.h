/* A place in a log. */
#ifndef PD_LOG_POSITION_H
#define PD_LOG_POSITION_H

#include <stdint.h>

/* Everything up to this record, as state that is derived from the log says how far it has got. lsn 0: nothing yet. */
struct pd_log_position {
	uint64_t epoch, lsn;
};

#endif
