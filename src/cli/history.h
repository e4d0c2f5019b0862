/* The lines that were typed before, in a file of the user's own. */
#ifndef PD_CLI_HISTORY_H
#define PD_CLI_HISTORY_H

#include "base/error.h"
#include "base/slice.h"
#include "os/os.h"

#define PD_HISTORY_LINES 2000 /* that are kept */

/* Where the file is: PERDURE_HISTORY, else .perdure_history in the home directory; NULL: nowhere (no home, or PERDURE_HISTORY is
 * empty). Free with pd_free(). */
char *pd_history_path(void);

/* Call `take` for each line, the oldest first. A file that is not there has none. One that has grown too long is cut. */
PD_MUST_CHECK int pd_history_load(struct pd_os *os, const char *path,
				  void (*take)(void *context, struct pd_slice line), void *context,
				  struct pd_error *err);
/* Add a line. The file is made with mode 0600. */
PD_MUST_CHECK int pd_history_add(struct pd_os *os, const char *path, struct pd_slice line,
				 struct pd_error *err);

#endif
