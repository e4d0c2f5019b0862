/* Help pages: what CONFIG HELP and its like answer. */
#include <stdio.h>

#include "front/resp/front_private.h"

void pd_resp_write_help(struct pd_resp_writer *reply, const char *container, const char *const *lines,
			size_t count)
{
	char first[96];

	(void)snprintf(first, sizeof first,
		       "%s <subcommand> [<arg> [value] [opt] ...]. Subcommands are:", container);
	pd_resp_write_array(reply, count + 3);
	pd_resp_write_status(reply, first);
	for (size_t i = 0; i < count; i++)
		pd_resp_write_status(reply, lines[i]);
	pd_resp_write_status(reply, "HELP");
	pd_resp_write_status(reply, "    Prints this help.");
}
