/* What the files share that look at parts of the log: file_look.c finds records, file_copy.c copies segments. */
#ifndef PD_LOG_LOOK_PRIVATE_H
#define PD_LOG_LOOK_PRIVATE_H

#include "log/file/file_private.h"
#include "log/look.h"

struct pd_log_look {
	struct pd_log *log; /* opened, and never begun */
	struct pd_log_file *file;
	size_t *segments; /* those with a head, as indexes into the file's */
	size_t count;
	struct pd_aligned tail;  /* a footer … */
	struct pd_aligned group; /* … and a group */
	uint32_t open_segment;   /* whose index is known without a footer; 0: none */
	struct pd_slice open_index;
};

#endif
