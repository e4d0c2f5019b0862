/* Progress of long work on standard error: a bar with the time that is left on a terminal, a line now and then
 * elsewhere, nothing for work of a moment. */
#ifndef PD_CLI_PROGRESS_H
#define PD_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "os/os.h"

struct pd_progress {
	struct pd_os *os;
	const char *what; /* "verifying" */
	const char *unit; /* of what is counted: "actors"; NULL: bytes */
	uint64_t started_ns, printed_ns;
	bool terminal, drawn;
};

void pd_progress_init(struct pd_progress *progress, struct pd_os *os, const char *what);
/* `done` of `total` bytes, or of what is counted. Cheap to call often. */
void pd_progress_show(struct pd_progress *progress, uint64_t done, uint64_t total);
/* Take the bar away. */
void pd_progress_done(struct pd_progress *progress);

#endif
