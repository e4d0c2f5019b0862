/* The commands that took longest to evaluate, the youngest `max` of them. */
#ifndef PD_FRONT_RESP_SLOWLOG_H
#define PD_FRONT_RESP_SLOWLOG_H

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "wire/resp.h"

#define PD_RESP_SLOWLOG_MAX       128   /* Redis's default of slowlog-max-len */
#define PD_RESP_SLOWLOG_LIMIT     65536 /* the largest that may be set */
#define PD_RESP_SLOWLOG_SLOWER_US 10000 /* Redis's default of slowlog-log-slower-than */
#define PD_RESP_SLOWLOG_WORDS_MAX 32    /* words kept of one command … */
#define PD_RESP_SLOWLOG_BYTES_MAX 128   /* … and bytes of one word */

struct pd_resp_slow_command;

struct pd_resp_slowlog {
	struct pd_resp_slow_command *newest;
	size_t count, max;
	int64_t slower_than_us; /* < 0: off */
	uint64_t next_id;
};

void pd_resp_slowlog_init(struct pd_resp_slowlog *slowlog);
void pd_resp_slowlog_clear(struct pd_resp_slowlog *slowlog);
void pd_resp_slowlog_set_max(struct pd_resp_slowlog *slowlog, size_t max);
/* Without memory nothing is noted. */
void pd_resp_slowlog_note(struct pd_resp_slowlog *slowlog, uint64_t real_us, uint64_t took_us,
			  const struct pd_slice *words, size_t count, const char *peer, const char *name);
/* The youngest `most` entries as SLOWLOG GET shows them. */
void pd_resp_slowlog_write(const struct pd_resp_slowlog *slowlog, size_t most, struct pd_resp_writer *reply);

#endif
