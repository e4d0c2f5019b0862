/* What checkpoints will have to know of the levels' files, found out ahead of them: of each file that has been at rest for a while
 * all is read back from the disk, hashed, and every checksum in it checked. A checkpoint reads only what is left.
 *
 * The rule: a file is at rest when it has been there for `rest_us`; the deepest come first, and of these the oldest. What was just
 * written is about to be merged with what lies below, and would be read for nothing; the deeper a file, the longer it stays, and the more
 * bytes there are. It needs no knowledge of compaction's plans, and while nobody writes everything is read after that time.
 *
 * A file is known by its name, its size and its identity on the disk, as long as these levels are open: they give no name twice.
 * Nothing of it outlives the process, but for what checkpoints have in their manifests: that counts as known, too.
 *
 * Threads: pd_ahead_turn() and pd_ahead_knows() on one thread at a time, whichever that is; the figures on any. */
#ifndef PD_STORE_AHEAD_H
#define PD_STORE_AHEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/hash.h"
#include "os/os.h"
#include "store/levels.h"

struct pd_ahead;
struct pd_checkpoint;

#define PD_AHEAD_REST_US \
	UINT64_C(30000000) /* some times what a file of level 0 lives while much is written */

struct pd_ahead_options {
	struct pd_os *os;
	struct pd_levels *levels; /* they stay open */
	const char *directory;    /* theirs */
	uint64_t rest_us;
};

struct pd_ahead_figures {
	uint64_t files, bytes; /* there were at the last look */
	uint64_t verified_files,
		verified_bytes;          /* and of these have been read back, ahead or by a checkpoint */
	uint64_t read_files, read_bytes; /* ahead, since open */
	uint64_t verified_us;            /* since 1970: when one was read last; 0: none was */
};

/* Knows of nothing yet. PD_NO_MEMORY. */
PD_MUST_CHECK int pd_ahead_new(const struct pd_ahead_options *options, struct pd_ahead **ret_ahead,
			       struct pd_error *err);
void pd_ahead_free(struct pd_ahead *ahead); /* NULL is fine */

/* Look what there is, forget what is no more, and read what is at rest, within the limit of background I/O and no more than a tenth of the
 * time. `previous` (held; NULL: none) is a checkpoint whose hashes are good as well. `go_on` is asked before each MiB or so.
 * PD_CORRUPT: a file that the levels need is damaged or missing, the text names it; it is read last from then on. PD_IO, PD_NO_MEMORY: another turn may do better.
 * PD_CANCELLED. What was found out stays in any case. */
PD_MUST_CHECK int pd_ahead_turn(struct pd_ahead *ahead, const struct pd_checkpoint *previous,
				pd_levels_go_on *go_on, void *context, struct pd_error *err);
/* Was this very file read back? */
bool pd_ahead_knows(const struct pd_ahead *ahead, const char *name, const struct pd_os_file_info *info,
		    struct pd_hash128 *ret_hash);
void pd_ahead_figures(const struct pd_ahead *ahead, struct pd_ahead_figures *ret_figures);

#endif
