/* Files that are read through one after another, past the page cache where that is possible: what matters is what the disk
 * has, and what others read stays in memory. */
#ifndef PD_STORE_PASS_H
#define PD_STORE_PASS_H

#include "base/error.h"
#include "base/hash.h"
#include "os/os.h"
#include "store/levels.h"

struct pd_pass {
	struct pd_os *os;
	struct pd_hasher *hasher;
	uint8_t *chunk;
	pd_levels_progress *progress; /* NULL: nobody looks */
	void *context;
	uint64_t done, total; /* bytes */
};

/* To be done in any case. PD_NO_MEMORY. */
PD_MUST_CHECK int pd_pass_init(struct pd_pass *pass, struct pd_os *os, pd_levels_progress *progress,
			       void *context, struct pd_error *err);
void pd_pass_done(struct pd_pass *pass);
/* Tell of so many bytes more. PD_CANCELLED: whoever looks has had enough. */
PD_MUST_CHECK int pd_pass_on(struct pd_pass *pass, size_t size, struct pd_error *err);
PD_MUST_CHECK int pd_pass_open(struct pd_pass *pass, const char *path, struct pd_os_file **ret_file,
			       struct pd_error *err);
/* Read all of the file, and write it to `copy` unless that is NULL. */
PD_MUST_CHECK int pd_pass_content(struct pd_pass *pass, struct pd_os_file *file, struct pd_os_file *copy,
				  uint64_t *ret_size, struct pd_hash128 *ret_hash, struct pd_error *err);
/* See that a file of this size is on the disk, and what is there. PD_IO: it has another size. */
PD_MUST_CHECK int pd_pass_read_back(struct pd_pass *pass, const char *path, uint64_t size,
				    struct pd_hash128 *ret_hash, struct pd_error *err);

#endif
