/* A server of one's own in a directory of its own, to be shown, killed and thrown away. It listens on no port: the socket in its
 * directory leads to it. */
#ifndef PD_CLI_SCRATCH_H
#define PD_CLI_SCRATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "cli/target.h"
#include "os/child.h"
#include "os/os.h"

#define PD_SCRATCH_PATH_SIZE 512

struct pd_scratch {
	struct pd_os *os;
	struct pd_target target;
	struct pd_link link; /* to the server, while it runs */
	struct pd_os_child server;
	char data[PD_SCRATCH_PATH_SIZE];
	char log[PD_SCRATCH_PATH_SIZE + 8]; /* what the server says */
	bool made;
};

/* Make the directory: `path`, which may not be there yet, or a new one in TMPDIR, else /tmp. `os` stays the caller's. */
PD_MUST_CHECK int pd_scratch_init(struct pd_scratch *scratch, struct pd_os *os, const char *path,
				  struct pd_error *err);
/* Start the server, wait until it serves, and connect. */
PD_MUST_CHECK int pd_scratch_start(struct pd_scratch *scratch, struct pd_error *err);
/* kill -9. */
void pd_scratch_kill(struct pd_scratch *scratch);
/* Ask it to end, if it runs. PD_IO: it did not end as it should. */
PD_MUST_CHECK int pd_scratch_stop(struct pd_scratch *scratch, struct pd_error *err);
/* With `keep` the directory stays. PD_IO: it cannot be removed. */
PD_MUST_CHECK int pd_scratch_done(struct pd_scratch *scratch, bool keep, struct pd_error *err);
/* Ask for a number: an integer, or a text that is one; 0 where there is nothing. */
PD_MUST_CHECK int pd_scratch_number(struct pd_scratch *scratch, const char *const *words, int64_t *ret_number,
				    struct pd_error *err);

#endif
