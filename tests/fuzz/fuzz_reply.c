/* What a server says, from the client's side: a reply is whole or not, and one that is whole can be shown in every form, with nothing in
 * it that a terminal would obey, and as JSON on one line; and so is the text of INFO in it. */
#include <stdio.h>

#include "base/utf8.h"
#include "cli/info_text.h"
#include "cli/reply.h"
#include "input.h"
#include "wire/resp.h"

static void check_shown(const char *shown, size_t size)
{
	PD_ASSERT(size > 0 && shown[size - 1] == '\n');
	for (size_t at = 0; at < size;) {
		const uint8_t *character = (const uint8_t *)shown + at;
		size_t length = pd_utf8_character(character, size - at);

		PD_ASSERT(length > 0);
		PD_ASSERT(*character == '\n' || !pd_utf8_is_control(character, length));
		at += length;
	}
}

static void show(struct pd_slice reply, enum pd_reply_form form)
{
	struct pd_reply_style style = { .form = form };
	char *shown = NULL;
	size_t size = 0;
	struct pd_output output = { .file = open_memstream(&shown, &size) };

	PD_ASSERT(output.file != NULL);
	pd_reply_print(&output, reply, &style);
	PD_ASSERT(fclose(output.file) == 0);
	if (form != PD_REPLY_RAW)
		check_shown(shown, size);
	if (form == PD_REPLY_JSON)
		PD_ASSERT(memchr(shown, '\n', size) == shown + size - 1);
	free(shown);
}

static void read_info(struct pd_slice info)
{
	struct pd_histogram histogram;
	struct pd_slice name, value;
	size_t at = 0, lines = 0;

	(void)pd_info_number(info, "a");
	pd_info_histogram(info, "h", &histogram);
	while (pd_info_next(info, "", &at, &name, &value)) {
		PD_ASSERT(++lines <= info.size && at <= info.size);
		PD_ASSERT(name.size + value.size <= info.size);
		(void)pd_info_field(value, "calls");
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = copy_bytes(pd_slice(data, size));
	size_t whole = pd_resp_reply_size(copy, size);
	struct pd_slice reply = pd_slice(copy, whole), rest = reply;

	if (whole != 0 && whole != (size_t)-1) {
		struct pd_reply first = pd_reply_read(&rest);

		(void)pd_reply_is_error(reply);
		show(reply, PD_REPLY_PRETTY);
		show(reply, PD_REPLY_RAW);
		show(reply, PD_REPLY_JSON);
		if (first.kind == PD_REPLY_TEXT)
			read_info(first.text);
	}
	free(copy);
	return 0;
}
