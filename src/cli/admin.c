#include "cli/admin.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "cli/target.h"
#include "engine/engine.h"
#include "server/server.h"
#include "wire/resp.h"

/* Why there is nobody to talk to. */
static int nobody(const struct pd_admin *admin, struct pd_error *err)
{
	const char *data = admin->data;
	struct pd_os_file_info info;
	int result = pd_os_info(admin->os, data, &info, NULL);

	if (result == 0 && !info.is_directory)
		return pd_error_set(err, PD_NOT_FOUND,
				    "%s is not a directory; say with --data where the server keeps its data",
				    data);
	if (result == PD_NOT_FOUND)
		return pd_error_set(
			err, PD_NOT_FOUND,
			"there is no directory %s; say with --data where the server keeps its data", data);
	return pd_error_set(
		err, PD_NOT_FOUND,
		"no server is running on %s, and this goes through one: start it with 'perdure server "
		"--data %s'. 'perdure log verify', 'dump' and 'stats' work without",
		data, data);
}

int pd_admin_open(struct pd_admin *admin, struct pd_os *os, const char *data, struct pd_error *err)
{
	char *path = pd_asprintf("%s/" PD_ADMIN_SOCKET, data);
	int result;

	*admin = (struct pd_admin){ .os = os, .data = data };
	pd_link_init(&admin->link);
	if (path == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for the path of a socket");
	result = pd_link_connect_path(&admin->link, path, data, err);
	pd_free(path);
	if (result == PD_NOT_FOUND)
		return nobody(admin, err);
	if (result == PD_PERMISSION)
		return pd_error_set(
			err, PD_PERMISSION,
			"the server of %s takes commands from its own user alone: run this as that "
			"user",
			data);
	return result;
}

void pd_admin_close(struct pd_admin *admin)
{
	pd_link_close(&admin->link);
}

/* ---- one command ---- */

/* "BUSY another …": the code, and the words without it where they say as much. */
static int error_of(struct pd_slice text, struct pd_error *err)
{
	static const struct {
		const char *word;
		int code;
	} words[] = { { "ERR ", PD_INVALID }, { "BUSY ", PD_BUSY }, { "NOTTHEN ", PD_NOT_THEN } };
	int code = PD_INVALID;

	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		struct pd_slice word = pd_slice_string(words[i].word);

		if (!pd_slice_starts_with(text, word))
			continue;
		code = words[i].code;
		text = pd_slice(text.data + word.size, text.size - word.size);
		break;
	}
	return pd_error_set(err, code, "%.*s", (int)text.size, (const char *)text.data);
}

static int said(int result, const struct pd_error *why, struct pd_error *err)
{
	if (result == PD_INVALID)
		return error_of(pd_slice_string(why->text), err);
	return result == 0 ? 0 : pd_error_set(err, result, "%s", why->text);
}

int pd_admin_ask(struct pd_admin *admin, const char *const *words, struct pd_slice *ret_reply,
		 struct pd_error *err)
{
	struct pd_error why = { 0 };

	return said(pd_target_ask(&admin->link, words, ret_reply, &why), &why, err);
}

int pd_admin_ask_slices(struct pd_admin *admin, const struct pd_slice *words, size_t count,
			struct pd_slice *ret_reply, struct pd_error *err)
{
	struct pd_error why = { 0 };

	return said(pd_target_ask_slices(&admin->link, words, count, ret_reply, &why), &why, err);
}

const char *pd_admin_advice(const struct pd_error *err)
{
	static const char no_actor[] = "there is no actor '";

	return strncmp(err->text, no_actor, sizeof no_actor - 1) == 0
		       ? "; 'perdure actor ls' lists those that there are"
		       : "";
}

int pd_admin_begin(struct pd_admin *admin, const struct pd_options *options, const char *data,
		   const char *const *words, struct pd_slice *ret_reply)
{
	struct pd_error err = { 0 };
	struct pd_os *os;
	int result;

	*admin = (struct pd_admin){ 0 };
	pd_link_init(&admin->link);
	result = pd_os_real_new(&os, &err);
	if (result == 0)
		result = pd_admin_open(admin, os, data, &err);
	if (result == 0 && words != NULL)
		result = pd_admin_ask(admin, words, ret_reply, &err);
	if (result == 0)
		return PD_EXIT_OK;
	(void)fprintf(stderr, "%s: %s%s\n", options->command, err.text, pd_admin_advice(&err));
	return PD_EXIT_FAILURE;
}

void pd_admin_end(struct pd_admin *admin)
{
	pd_admin_close(admin);
	if (admin->os != NULL)
		pd_os_free(admin->os);
}

/* ---- reading a map ---- */

uint64_t pd_admin_number(struct pd_slice map, const char *name)
{
	struct pd_slice value;
	struct pd_reply reply;

	if (!pd_reply_field(map, name, &value))
		return 0;
	reply = pd_reply_read(&value);
	return reply.kind == PD_REPLY_INTEGER && reply.integer > 0 ? (uint64_t)reply.integer : 0;
}

struct pd_slice pd_admin_text(struct pd_slice map, const char *name)
{
	struct pd_slice value;
	struct pd_reply reply;

	if (!pd_reply_field(map, name, &value))
		return pd_slice(NULL, 0);
	reply = pd_reply_read(&value);
	return reply.kind == PD_REPLY_TEXT ? reply.text : pd_slice(NULL, 0);
}
