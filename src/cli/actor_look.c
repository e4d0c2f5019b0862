/* `perdure actor ls` and `show`: through the server that has the directory, or else in the directory itself, which is opened
 * to be looked at. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/timestamp.h"
#include "cli/actor_bulk.h"
#include "cli/actor_private.h"
#include "cli/admin.h"
#include "cli/look.h"
#include "cli/output.h"
#include "engine/actor.h"
#include "front/resp/actor_info.h"
#include "model/kv/glob.h"
#include "server/server.h"
#include "wire/resp.h"

#define LIST_COUNT      "5000" /* names in one reply */
#define NAMES_BYTES_MAX ((size_t)8 * 1024 * 1024 * 1024)
#define INFO_BYTES_MAX  65536u /* names have 256 bytes, owners a few more */

#define EXIT_STATUSES                                                                         \
	"Exit status:\n"                                                                      \
	"  0  done\n"                                                                         \
	"  1  no such actor or tenant, no data directory, or it cannot be read\n"             \
	"  2  the command line is wrong\n"                                                    \
	"  3  another process has the directory, and it is no server that can be talked to\n" \
	"  4  the data directory is damaged, or was written by a newer version"

/* Who answers. */
struct source {
	struct pd_os *os;
	struct pd_admin admin; /* connected, or */
	struct pd_look look;   /* open: engine is not NULL */
};

static int source_open(struct source *source, const char *data, struct pd_error *err)
{
	int result;

	*source = (struct source){ 0 };
	pd_link_init(&source->admin.link);
	result = pd_os_real_new(&source->os, err);
	if (result != 0)
		return result;
	result = pd_admin_open(&source->admin, source->os, data, err);
	/* Nobody is there; or somebody may be whose socket has too long a path, and then the lock tells. */
	if (result == PD_NOT_FOUND || result == PD_TOO_LARGE)
		result = pd_look_open(&source->look, source->os, data, err);
	return result;
}

static void source_close(struct source *source)
{
	pd_look_close(&source->look);
	pd_admin_close(&source->admin);
	if (source->os != NULL)
		pd_os_free(source->os);
}

static int status_of(const struct pd_options *options, int result, const struct pd_error *err)
{
	if (result == 0)
		return PD_EXIT_OK;
	(void)fprintf(stderr, "%s: %s%s\n", options->command, err->text, pd_admin_advice(err));
	return pd_server_exit_status(result);
}

/* ---- list ---- */

static const struct pd_option list_table[] = {
	PD_ACTOR_DATA,
	{ "match", "PATTERN", PD_OPTION_TEXT, offsetof(struct pd_actor_given, match), 0, 0,
	  "Only names that match, as in KEYS: 'user:*'." },
	{ "tenant", "NAME", PD_OPTION_TEXT, offsetof(struct pd_actor_given, tenant), 0, 0,
	  "Whose actors (default: those of the tenant \"default\")." },
	PD_ACTOR_JSON,
};

static const struct pd_options list_options = {
	.command = "perdure actor ls",
	.synopsis = "perdure actor ls [options]",
	.about =
		"Prints the names of the actors of a tenant, in the order in which they were made, one in a\n"
		"line. A name that is not plain text is printed as \"escaped\"; in JSON one that is not "
		"UTF-8 "
		"is\n{\"base64\": \"...\"}. A running server is asked; without one the directory is read, "
		"and "
		"not changed.",
	.table = list_table,
	.count = sizeof list_table / sizeof *list_table,
	.environment_count = 1, /* PERDURE_DATA */
	.after = "Examples:\n"
		 "  perdure actor ls --data /var/lib/perdure --match 'session:*' | wc -l\n"
		 "  perdure actor ls -o json | jq -r '.[]'\n"
		 "\n" EXIT_STATUSES,
};

static void print_name(struct pd_output *output, struct pd_slice name, bool json)
{
	if (json) {
		pd_output_bytes_field(output, NULL, name);
		return;
	}
	pd_output_word(output, name);
	pd_output_text(output, "\n");
}

/* Where names go: they are printed, or kept for who orders something for all of them. */
struct list {
	const char *tenant, *match;
	struct pd_output *output; /* NULL: they are kept */
	struct pd_actor_names *names;
	bool json;
};

/* As it can be said. */
static int keep_name(struct pd_actor_names *names, const char *tenant, struct pd_slice name)
{
	int result = 0;

	if (tenant != NULL && strcmp(tenant, "default") != 0)
		result = pd_buffer_printf(&names->bytes, "%s/", tenant);
	if (result == 0)
		result = pd_buffer_append_slice(&names->bytes, name);
	if (result == 0)
		result = pd_buffer_append(&names->ends, &names->bytes.size, sizeof names->bytes.size);
	names->count += result == 0;
	return result;
}

static int take_name(const struct list *list, struct pd_slice name, struct pd_error *err)
{
	if (list->output != NULL) {
		print_name(list->output, name, list->json);
		return 0;
	}
	return keep_name(list->names, list->tenant, name) == 0
		       ? 0
		       : pd_error_set(err, PD_NO_MEMORY, "out of memory for the names of %zu actors",
				      list->names->count);
}

static int take_page(const struct list *list, struct pd_slice reply, struct pd_error *err)
{
	struct pd_reply names = pd_reply_read(&reply);
	int result = 0;

	for (size_t i = 0; result == 0 && names.kind == PD_REPLY_LIST && i < names.count; i++)
		result = take_name(list, pd_reply_read(&reply).text, err);
	return result;
}

/* Page after page. A cursor is what the last reply began with. */
static int list_of_server(struct pd_admin *admin, const struct list *given, struct pd_error *err)
{
	const char *words[] = { "PD.ACTOR", "LIST", "COUNT", LIST_COUNT, "CURSOR", NULL,
				NULL,       NULL,   NULL,    NULL,       NULL };
	char cursor[24] = "0";
	size_t count = 6;

	words[5] = cursor;
	if (given->match != NULL) {
		words[count++] = "MATCH";
		words[count++] = given->match;
	}
	if (given->tenant != NULL) {
		words[count++] = "TENANT";
		words[count++] = given->tenant;
	}
	do {
		struct pd_slice reply, text;
		int result = pd_admin_ask(admin, words, &reply, err);

		if (result != 0)
			return result;
		(void)pd_reply_read(&reply);
		text = pd_reply_read(&reply).text;
		(void)snprintf(cursor, sizeof cursor, "%.*s", text.size < 23 ? (int)text.size : 23,
			       (const char *)text.data);
		result = take_page(given, reply, err);
		if (result != 0)
			return result;
	} while (strcmp(cursor, "0") != 0);
	return 0;
}

static int list_of_directory(const struct pd_look *look, const struct list *given, struct pd_error *err)
{
	struct pd_slice tenant = pd_slice_string(given->tenant != NULL ? given->tenant : "");
	struct pd_actor_place place = { 0 };
	uint64_t looks = UINT64_MAX;
	int result;

	while ((result = pd_engine_next_actor(look->engine, look->session, tenant, place.id, &looks, &place,
					      err)) == 1)
		if (given->match == NULL || pd_glob_match(pd_slice_string(given->match), place.name)) {
			result = take_name(given, place.name, err);
			if (result != 0)
				break;
		}
	return result;
}

static int list_names(struct source *source, const struct list *list, struct pd_error *err)
{
	return source->look.engine != NULL ? list_of_directory(&source->look, list, err)
					   : list_of_server(&source->admin, list, err);
}

int pd_actor_list_run(int argc, char **argv)
{
	struct pd_output output = { .file = stdout };
	struct pd_actor_given given = { .data = "./data" };
	struct list list = { .output = &output };
	struct pd_error err = { 0 };
	struct source source;
	int result, status;

	if (!pd_options_take(&list_options, argc, argv, &given, &status))
		return status;
	list.tenant = given.tenant;
	list.match = given.match;
	list.json = given.json;
	result = source_open(&source, given.data, &err);
	if (result == 0) {
		if (given.json)
			pd_output_open(&output, NULL, '[');
		result = list_names(&source, &list, &err);
		if (result == 0 && given.json) {
			pd_output_close(&output, ']');
			pd_output_end(&output);
		}
	}
	status = status_of(&list_options, result, &err);
	if (!pd_output_finish(&output) && status == PD_EXIT_OK)
		status = PD_EXIT_FAILURE;
	source_close(&source);
	return status;
}

void pd_actor_names_init(struct pd_actor_names *names)
{
	*names = (struct pd_actor_names){ 0 };
	pd_buffer_init(&names->bytes, NAMES_BYTES_MAX);
	pd_buffer_init(&names->ends, NAMES_BYTES_MAX);
}

void pd_actor_names_done(struct pd_actor_names *names)
{
	pd_buffer_done(&names->bytes);
	pd_buffer_done(&names->ends);
}

struct pd_slice pd_actor_names_at(const struct pd_actor_names *names, size_t index)
{
	size_t begin = 0, end;

	if (index > 0)
		memcpy(&begin, names->ends.data + (index - 1) * sizeof begin, sizeof begin);
	memcpy(&end, names->ends.data + index * sizeof end, sizeof end);
	return pd_slice(names->bytes.data + begin, end - begin);
}

int pd_actor_names_add(struct pd_actor_names *names, struct pd_slice name, struct pd_error *err)
{
	return keep_name(names, NULL, name) == 0
		       ? 0
		       : pd_error_set(err, PD_NO_MEMORY, "out of memory for the name of an actor");
}

int pd_actor_names_list(struct pd_actor_names *names, const char *data, const char *tenant, const char *match,
			struct pd_error *err)
{
	struct list list = { .tenant = tenant, .match = match, .names = names };
	struct source source;
	int result = source_open(&source, data, err);

	if (result == 0)
		result = list_names(&source, &list, err);
	source_close(&source);
	return result;
}

/* ---- show ---- */

static const struct pd_option show_table[] = { PD_ACTOR_DATA, PD_ACTOR_JSON };

static const struct pd_options show_options = {
	.command = "perdure actor show",
	.synopsis = "perdure actor show [options] [TENANT/]NAME",
	.about = "Says what is known of an actor: what it holds, when it was made, how durable its writes "
		 "are and "
		 "by\nwhose word, and whether damage has taken records of it. A running server is asked; "
		 "without one\nthe directory is read, and not changed: a durability that is the server's is "
		 "then shown as\nstrict, which it is where no server is told another.",
	.table = show_table,
	.count = sizeof show_table / sizeof *show_table,
	.environment_count = 1, /* PERDURE_DATA */
	.after = "Examples:\n"
		 "  perdure actor show user:42\n"
		 "  perdure actor show -o json acme/main | jq .keys\n"
		 "\n" EXIT_STATUSES,
};

static void print_moment(struct pd_output *output, uint64_t time_us)
{
	char text[PD_TIMESTAMP_SIZE];

	pd_timestamp_format(time_us, 6, text);
	pd_output_text(output, "%s", text);
}

/* A field of any kind. */
static void print_field(struct pd_output *output, struct pd_slice name, struct pd_slice *rest, bool json)
{
	struct pd_reply value = pd_reply_read(rest);
	char text[64];

	(void)snprintf(text, sizeof text, "%.*s", name.size < 63 ? (int)name.size : 63,
		       (const char *)name.data);
	if (json && value.kind == PD_REPLY_TEXT) {
		pd_output_bytes_field(output, text, value.text);
	} else if (json) {
		pd_output_number_field(output, text, (uint64_t)value.integer);
	} else {
		pd_output_text(output, "%-18s ", text);
		if (value.kind == PD_REPLY_TEXT)
			pd_output_word(output, value.text);
		else if (strcmp(text, "last_write_us") == 0 && value.integer > 0)
			print_moment(output, (uint64_t)value.integer);
		else
			pd_output_text(output, "%" PRId64, value.integer);
		pd_output_text(output, "\n");
	}
}

static void print_info(struct pd_output *output, struct pd_slice reply, bool json)
{
	struct pd_reply map = pd_reply_read(&reply);

	if (json)
		pd_output_open(output, NULL, '{');
	for (size_t i = 0; map.kind == PD_REPLY_LIST && i + 1 < map.count; i += 2) {
		struct pd_slice name = pd_reply_read(&reply).text;

		print_field(output, name, &reply, json);
	}
	if (json) {
		pd_output_close(output, '}');
		pd_output_end(output);
	}
}

/* The reply that a server would give, in `buffer`. */
static int info_of_directory(const struct pd_look *look, const char *name, struct pd_buffer *buffer,
			     struct pd_slice *ret_reply, struct pd_error *err)
{
	struct pd_resp_writer writer = { .buffer = buffer, .protocol = 2 };
	struct pd_actor_info info;
	int result = pd_engine_actor_info(look->engine, look->session, pd_slice_string(name), &info, err);

	if (result != 0)
		return result;
	pd_resp_write_actor_info(&writer, &info);
	*ret_reply = pd_buffer_slice(buffer);
	return writer.failed == 0 ? 0 : pd_error_set(err, writer.failed, "out of memory for a reply");
}

int pd_actor_show_run(int argc, char **argv)
{
	const char *words[] = { "PD.ACTOR", "INFO", NULL, NULL };
	struct pd_output output = { .file = stdout };
	struct pd_actor_given given = { .data = "./data" };
	struct pd_error err = { 0 };
	struct pd_buffer buffer;
	struct pd_slice reply = { 0 };
	struct source source;
	int result, status;

	if (!pd_actor_take_name(&show_options, argc, argv, &given, &words[2], &status))
		return status;
	pd_buffer_init(&buffer, INFO_BYTES_MAX);
	result = source_open(&source, given.data, &err);
	if (result == 0)
		result = source.look.engine != NULL
				 ? info_of_directory(&source.look, words[2], &buffer, &reply, &err)
				 : pd_admin_ask(&source.admin, words, &reply, &err);
	if (result == 0)
		print_info(&output, reply, given.json);
	status = status_of(&show_options, result, &err);
	if (!pd_output_finish(&output) && status == PD_EXIT_OK)
		status = PD_EXIT_FAILURE;
	source_close(&source);
	pd_buffer_done(&buffer);
	return status;
}
