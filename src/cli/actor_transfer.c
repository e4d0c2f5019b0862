/* `perdure actor import`: a file of lines (docs/format/export.md) becomes an actor again. The server reads them. */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "cli/actor_private.h"
#include "cli/admin.h"
#include "cli/cli.h"
#include "cli/output.h"
#include "cli/reply.h"
#include "server/server.h"
#include "wire/resp.h"

#define PIECE ((size_t)256 * 1024)

struct given {
	const char *data, *as;
	bool json, replace, without_relations;
};

#define AT(field) offsetof(struct given, field)
#define OPTION_DATA                                                                   \
	{                                                                             \
		"data", "DIR", PD_OPTION_TEXT, AT(data), 0, 0,                        \
			"Directory of the data (default: PERDURE_DATA, else ./data)." \
	}

static bool is_dash(const char *path)
{
	return strcmp(path, "-") == 0;
}

static const struct pd_option import_table[] = {
	OPTION_DATA,
	{ "as", "NAME", PD_OPTION_TEXT, AT(as), 0, 0,
	  "[TENANT/]NAME of the new actor (default: the name in the file)." },
	{ "replace", NULL, PD_OPTION_SWITCH, AT(replace), 0, 0,
	  "In the place of the actor that has the name, if there is one: its profile and lease stay." },
	{ "without-relations", NULL, PD_OPTION_SWITCH, AT(without_relations), 0, 0,
	  "Related to nobody, whatever the file says." },
	{ "o", "FORMAT", PD_OPTION_FORMAT, AT(json), 0, 0, "text (default) or json: one object." },
};

static const struct pd_options import_options = {
	.command = "perdure actor import",
	.synopsis = "perdure actor import [options] FILE|-",
	.about = "Makes an actor of what 'perdure actor export' wrote, under a name that is free: with its "
		 "durability\nlevel and quotas; or, with --replace, in the place of the actor that has it. "
		 "The server compares the file with its checksum, and what it "
		 "made "
		 "of it with the hash\nof what was exported; then the actor is there as a whole. Else "
		 "nothing of "
		 "it is. It is related again to the actors\nthat are there, on both sides; of the others it "
		 "is "
		 "said: an actor that comes later brings its side along.",
	.table = import_table,
	.count = sizeof import_table / sizeof *import_table,
	.environment_count = 1, /* PERDURE_DATA */
	.after = "Examples:\n"
		 "  perdure actor import user-42.jsonl\n"
		 "  perdure actor export --at -1h a | perdure actor import --as a-before -\n"
		 "\n" PD_ACTOR_ORDER_STATUSES,
};

struct importing {
	struct pd_admin admin;
	struct pd_os_file *file; /* NULL: standard input */
	uint64_t offset;
	uint8_t *piece;
};

/* *ret_size 0: the end. */
static int read_piece(struct importing *importing, size_t *ret_size, struct pd_error *err)
{
	int result = 0;

	if (importing->file != NULL) {
		result = pd_os_read(importing->file, importing->piece, PIECE, importing->offset, ret_size,
				    err);
		importing->offset += result == 0 ? *ret_size : 0;
		return result;
	}
	*ret_size = fread(importing->piece, 1, PIECE, stdin);
	return *ret_size == 0 && ferror(stdin) ? pd_error_set(err, PD_IO, "standard input cannot be read")
					       : 0;
}

/* ---- what a server is told ---- */

int pd_actor_import_begin(struct pd_admin *admin, struct pd_slice as, bool replace, bool without_relations,
			  struct pd_error *err)
{
	struct pd_slice words[7] = { pd_slice_string("PD.ACTOR"), pd_slice_string("IMPORT"),
				     pd_slice_string("BEGIN") };
	struct pd_slice reply;
	size_t count = 3;

	if (as.size > 0) {
		words[count++] = pd_slice_string("AS");
		words[count++] = as;
	}
	if (replace)
		words[count++] = pd_slice_string("REPLACE");
	if (without_relations)
		words[count++] = pd_slice_string("NORELATIONS");
	return pd_admin_ask_slices(admin, words, count, &reply, err);
}

int pd_actor_import_put(struct pd_admin *admin, struct pd_slice lines, struct pd_error *err)
{
	struct pd_slice words[4] = { pd_slice_string("PD.ACTOR"), pd_slice_string("IMPORT"),
				     pd_slice_string("PUT") };
	struct pd_slice reply;

	for (size_t at = 0; at < lines.size; at += words[3].size) {
		size_t left = lines.size - at;
		int result;

		words[3] = pd_slice(lines.data + at, left < PIECE ? left : PIECE);
		result = pd_admin_ask_slices(admin, words, 4, &reply, err);
		if (result != 0)
			return result;
	}
	return 0;
}

int pd_actor_import_end(struct pd_admin *admin, struct pd_slice *ret_reply, struct pd_error *err)
{
	const char *words[] = { "PD.ACTOR", "IMPORT", "END", NULL };

	return pd_admin_ask(admin, words, ret_reply, err);
}

/* ---- a file ---- */

static int import(struct importing *importing, const struct given *given, struct pd_slice *ret_reply,
		  struct pd_error *err)
{
	struct pd_admin *admin = &importing->admin;
	size_t size = 0;
	int result = pd_actor_import_begin(admin, pd_slice_string(given->as != NULL ? given->as : ""),
					   given->replace, given->without_relations, err);

	while (result == 0) {
		result = read_piece(importing, &size, err);
		if (result != 0 || size == 0)
			break;
		result = pd_actor_import_put(admin, pd_slice(importing->piece, size), err);
	}
	return result == 0 ? pd_actor_import_end(admin, ret_reply, err) : result;
}

/* Of one that has taken another's place. */
static void print_undo(struct pd_output *output, struct pd_slice map)
{
	struct pd_slice undo = pd_admin_text(map, "undo");

	if (undo.size == 0)
		return;
	pd_output_text(output, "undo it with: perdure actor restore --at ");
	pd_output_lax(output, undo);
	pd_output_text(output, " ");
	pd_output_word(output, pd_admin_text(map, "actor"));
	pd_output_text(output, "\n");
}

/* Those that were not taken up. */
static void print_missing(struct pd_output *output, struct pd_slice map)
{
	struct pd_slice missing;
	uint64_t count;

	/* A server of an earlier version says nothing of it. */
	if (!pd_reply_field(map, "missing", &missing))
		return;
	count = pd_reply_read(&missing).count;
	for (uint64_t i = 0; i < count; i++) {
		struct pd_slice one = missing;

		pd_reply_skip(&missing);
		pd_output_text(output, "not related: ");
		pd_output_lax(output, pd_admin_text(one, "kind"));
		pd_output_text(output, pd_slice_equal(pd_admin_text(one, "direction"), pd_slice_string("in"))
					       ? " from "
					       : " to ");
		pd_output_word(output, pd_admin_text(one, "actor"));
		pd_output_text(output, "\n");
	}
}

static int print_imported(struct pd_slice map, bool json)
{
	struct pd_reply_style style = { .form = PD_REPLY_JSON };
	struct pd_output output = { .file = stdout };
	uint64_t keys = pd_admin_number(map, "keys");

	if (json) {
		pd_reply_print(&output, map, &style);
	} else {
		pd_output_word(&output, pd_admin_text(map, "actor"));
		pd_output_text(&output, ": %" PRIu64 " key%s (state ", keys, keys == 1 ? "" : "s");
		pd_output_lax(&output, pd_admin_text(map, "hash"));
		pd_output_text(&output, ")\n");
		print_missing(&output, map);
		print_undo(&output, map);
	}
	return pd_output_finish(&output) ? PD_EXIT_OK : PD_EXIT_FAILURE;
}

static int import_file(struct importing *importing, const char *path, const struct given *given)
{
	struct pd_error err = { 0 };
	struct pd_slice reply;
	int result = 0;

	importing->piece = pd_malloc(PIECE);
	if (importing->piece == NULL)
		result = pd_error_set(&err, PD_NO_MEMORY, "out of memory for an import");
	if (result == 0 && !is_dash(path)) {
		result = pd_actor_check_file(importing->admin.os, path, "- for standard input", &err);
		if (result == 0)
			result = pd_os_open(importing->admin.os, path, PD_OS_READ, &importing->file, &err);
	}
	if (result == 0)
		result = import(importing, given, &reply, &err);
	pd_os_close(importing->file);
	pd_free(importing->piece);
	if (result == 0)
		return print_imported(reply, given->json);
	(void)fprintf(stderr, "%s: %s\n", import_options.command, err.text);
	return PD_EXIT_FAILURE;
}

int pd_actor_import_run(int argc, char **argv)
{
	static const char *const what[] = { "which file? - is standard input", NULL };
	const char *hello[] = { "HELLO", "3", NULL };
	struct given given = { .data = "./data" };
	struct importing importing = { 0 };
	struct pd_slice reply;
	const char *path;
	int status;

	if (!pd_actor_take_words(&import_options, argc, argv, &given, what, &path, &status))
		return status;
	status = pd_admin_begin(&importing.admin, &import_options, given.data, hello, &reply);
	importing.admin.link.patience_s = 0; /* in the end all of it is read again */
	if (status == PD_EXIT_OK)
		status = import_file(&importing, path, &given);
	pd_admin_end(&importing.admin);
	return status;
}
