/* There is no archive behind this door, so nobody is asked about one. */
#include <stdlib.h>

#include "archive/archive.h"

void pd_archive_status(const struct pd_archive *archive, struct pd_archive_status *ret_status)
{
	(void)archive;
	(void)ret_status;
	abort();
}

const char *pd_archive_state_name(enum pd_archive_state state)
{
	(void)state;
	abort();
}
