/* Help pages: what CONFIG HELP and its like answer. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "front/resp/front_private.h"

void pd_resp_write_subcommand_error(struct pd_resp_call *call)
{
	struct pd_slice word = call->words[1];
	char container[PD_RESP_NAME_SIZE];
	size_t size = strcspn(call->entry->name.text, "|");

	for (size_t i = 0; i < size; i++)
		container[i] = (char)toupper((unsigned char)call->entry->name.text[i]);
	pd_resp_write_errorf(
		call->reply, "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try %.*s HELP.",
		(int)(word.size < 128 ? word.size : 128), (const char *)word.data, (int)size, container);
}

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
