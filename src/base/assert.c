#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void pd_assert_failed(const char *condition, const char *file, int line, const char *function)
{
	(void)fprintf(stderr,
		      "perdure: broken invariant: %s (%s:%d, %s). The process stops; the log is safe. "
		      "Please report this.\n",
		      condition, file, line, function);
	abort();
}
