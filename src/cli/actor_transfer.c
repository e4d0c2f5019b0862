/* `perdure actor export` and `import`: an actor as a file of lines (docs/format/export.md), and back. The server, or the directory where none
 * runs, makes the lines; the server reads them. */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "cli/actor_private.h"
#include "cli/cli.h"
#include "cli/output.h"
#include "cli/past.h"
#include "cli/reply.h"
#include "restore/export.h"
#include "restore/import_line.h"
#include "server/server.h"
#include "wire/resp.h"

#define PIECE ((size_t)256 * 1024)

struct given {
	const char *data, *at, *file, *as;
	bool json;
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

/* Where there is a name, bytes are read and written from its beginning to its end. */
static int check_file(struct pd_os *os, const char *path, const char *instead, struct pd_error *err)
{
	struct pd_os_file_info info;

	if (pd_os_info(os, path, &info, NULL) != 0 || (!info.is_special && !info.is_directory))
		return 0;
	return pd_error_set(err, PD_INVALID, "%s is %s: name a file, or say %s", path,
			    info.is_directory ? "a directory" : "a pipe or a device", instead);
}

/* ---- export ---- */

struct exporting {
	struct pd_cli_past past;
	const char *actor, *at, *path;
	struct pd_os_file *file; /* NULL: standard output */
	char *beside;            /* its name until it is whole */
	uint64_t bytes;
	struct pd_buffer last; /* the last line, so far */
};

static const struct pd_option export_table[] = {
	OPTION_DATA,
	{ "at", "MOMENT", PD_OPTION_TEXT, AT(at), 0, 0, "What it was then (default: now)." },
	{ "f", "FILE", PD_OPTION_TEXT, AT(file), 0, 0,
	  "Into this file, which is there when it is whole (default: -, standard output)." },
};

static const struct pd_options export_options = {
	.command = "perdure actor export",
	.synopsis = "perdure actor export [options] [TENANT/]NAME",
	.about =
		"Writes all that an actor had at a moment as lines of JSON, with a checksum and the hash of "
		"its state\nat the end: for 'perdure actor import', here or elsewhere, or for any program. A "
		"running server goes\non serving meanwhile; without one the directory is read as it lies "
		"there.\n\n"
		"A moment is now, a time such as 2026-01-15T14:30:00Z, so long ago (-10m, -2h30m, -1d), an "
		"LSN, "
		"a\nbookmark, or snapshot:NAME.",
	.table = export_table,
	.count = sizeof export_table / sizeof *export_table,
	.environment_count = 1, /* PERDURE_DATA */
	.after = "Examples:\n"
		 "  perdure actor export -f user-42.jsonl user:42\n"
		 "  perdure actor export --at -1d user:42 | jq -r .key\n"
		 "\n"
		 "Exit status:\n"
		 "  0  done\n"
		 "  1  no such actor or moment, or it cannot be read or written: what came has no last line, "
		 "and\n"
		 "     no import takes it\n"
		 "  2  the command line is wrong\n"
		 "  4  damage was met, or a newer version of Perdure wrote the directory",
};

/* The last line is kept: it must be one. */
static int keep_last(struct exporting *exporting, struct pd_slice piece)
{
	struct pd_slice rest = pd_slice(piece.data, piece.size - 1);
	const uint8_t *before = rest.size > 0 ? memrchr(rest.data, '\n', rest.size) : NULL;

	if (before != NULL)
		rest = pd_slice(before + 1, rest.size - (size_t)(before + 1 - rest.data));
	pd_buffer_clear(&exporting->last);
	return pd_buffer_append_slice(&exporting->last, rest);
}

static int hand_out(struct exporting *exporting, struct pd_slice piece, struct pd_error *err)
{
	int result = 0;

	if (keep_last(exporting, piece) != 0)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for a line");
	if (exporting->file != NULL)
		result = pd_os_write(exporting->file, piece.data, piece.size, exporting->bytes, err);
	else if (fwrite(piece.data, 1, piece.size, stdout) != piece.size)
		result = pd_error_set(err, PD_IO, "it cannot be written to standard output");
	exporting->bytes += piece.size;
	return result;
}

static int ask_server(struct exporting *exporting, struct pd_error *err)
{
	const char *words[6] = { "EXPORT", "BEGIN", exporting->actor };
	struct pd_slice reply, piece;
	int result;

	if (exporting->at != NULL) {
		words[3] = "AT";
		words[4] = exporting->at;
	}
	for (;;) {
		result = pd_cli_past_ask(&exporting->past, words, &reply, err);
		if (result != 0)
			return result;
		piece = pd_reply_read(&reply).text;
		if (piece.size == 0)
			return 0;
		result = hand_out(exporting, piece, err);
		if (result != 0)
			return result;
		words[1] = "NEXT";
		words[2] = NULL;
	}
}

/* Nobody serves it. */
static int read_directory(struct exporting *exporting, struct pd_error *err)
{
	struct pd_slice words[4] = { pd_slice_string("EXPORT"), pd_slice_string(exporting->actor),
				     pd_slice_string("AT"),
				     pd_slice_string(exporting->at != NULL ? exporting->at : "now") };
	struct pd_restore_known known = { .tenant = pd_slice_string("default") };
	struct pd_restore_source source = { 0 };
	struct pd_restore_order order;
	struct pd_export export;
	struct pd_buffer piece;
	int result = pd_restore_order_parse(words, 4, &order, err);

	pd_restore_take_apart(order.actor, &known.tenant, &known.name);
	if (result == 0)
		result = pd_restore_find(exporting->past.history, &order, &known, &source, err);
	pd_export_init(&export, &source, known.name);
	pd_buffer_init(&piece, SIZE_MAX / 2);
	while (result == 0 && !export.done) {
		result = pd_export_fill(&export, &piece, err);
		if (result == 0)
			result = hand_out(exporting, pd_buffer_slice(&piece), err);
	}
	pd_buffer_done(&piece);
	pd_export_done(&export);
	pd_past_close(source.past);
	pd_restore_order_done(&order);
	return result;
}

static int open_file(struct exporting *exporting, struct pd_error *err)
{
	struct pd_os *os = exporting->past.admin.os;
	int result = check_file(os, exporting->path, "- for standard output", err);

	if (result != 0)
		return result;
	exporting->beside = pd_asprintf("%s.new", exporting->path);
	if (exporting->beside == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for a name");
	result = pd_os_open(os, exporting->beside, PD_OS_WRITE | PD_OS_CREATE | PD_OS_EXCLUSIVE,
			    &exporting->file, err);
	if (result == PD_EXISTS)
		return pd_error_set(
			err, result,
			"%s is there: if no other export writes it, one that was killed has left it, and "
			"it can be removed",
			exporting->beside);
	return result;
}

/* It takes its name when it is whole, and on stable storage. */
static int close_file(struct exporting *exporting, int result, struct pd_error *err)
{
	struct pd_os *os = exporting->past.admin.os;
	const char *slash = strrchr(exporting->path, '/');
	char *directory = slash != NULL
				  ? pd_asprintf("%.*s", (int)(slash - exporting->path) + 1, exporting->path)
				  : pd_strdup(".");

	if (result == 0 && directory == NULL)
		result = pd_error_set(err, PD_NO_MEMORY, "out of memory for a name");
	if (result == 0)
		result = pd_os_datasync(exporting->file, err);
	pd_os_close(exporting->file);
	if (result == 0)
		result = pd_os_rename(os, exporting->beside, exporting->path, err);
	if (result == 0)
		result = pd_os_sync_directory(os, directory, err);
	else if (exporting->file != NULL && pd_os_unlink(os, exporting->beside, NULL) != 0)
		(void)fprintf(stderr, "%s: %s is left: remove it\n", export_options.command,
			      exporting->beside);
	pd_free(directory);
	pd_free(exporting->beside);
	return result;
}

/* What came is an export only with its last line. */
static int report(struct exporting *exporting, struct pd_error *err)
{
	struct pd_output output = { .file = stdout };
	struct pd_buffer name, bytes;
	struct pd_import_line line = { .name = &name, .bytes = &bytes };
	char hash[33];
	int result;

	pd_buffer_init(&name, PD_EXPORT_LINE_MAX);
	pd_buffer_init(&bytes, PD_EXPORT_LINE_MAX);
	result = pd_import_line_parse(pd_buffer_slice(&exporting->last), false, &line, NULL);
	pd_buffer_done(&name);
	pd_buffer_done(&bytes);
	if (result != 0 || line.kind != PD_IMPORT_END)
		return pd_error_set(err, PD_IO, "what the server sent has no end: is it of another version?");
	if (exporting->file != NULL) {
		pd_hash128_format(line.hash, hash);
		pd_output_word(&output, pd_slice_string(exporting->actor));
		pd_output_text(&output, ": %" PRIu64 " key%s, %" PRIu64 " bytes in ", line.keys,
			       line.keys == 1 ? "" : "s", exporting->bytes);
		pd_output_lax(&output, pd_slice_string(exporting->path));
		pd_output_text(&output, " (state %s)\n", hash);
	}
	return pd_output_finish(&output) ? 0 : pd_error_set(err, PD_IO, "it is not all on standard output");
}

static int export(struct exporting *exporting, struct pd_error *err)
{
	int result = exporting->path != NULL ? open_file(exporting, err) : 0;

	if (result == 0)
		result = exporting->past.history != NULL ? read_directory(exporting, err)
							 : ask_server(exporting, err);
	if (result == 0)
		result = report(exporting, err);
	return exporting->path != NULL ? close_file(exporting, result, err) : result;
}

int pd_actor_export_run(int argc, char **argv)
{
	static const char *const what[] = { "which actor? 'perdure actor ls' lists them", NULL };
	struct given given = { .data = "./data", .file = "-" };
	struct exporting exporting = { 0 };
	struct pd_error err = { 0 };
	int result, status;

	if (!pd_actor_take_words(&export_options, argc, argv, &given, what, &exporting.actor, &status))
		return status;
	exporting.at = given.at;
	exporting.path = is_dash(given.file) ? NULL : given.file;
	pd_buffer_init(&exporting.last, 2 * PD_EXPORT_LINE_MAX);
	status = pd_cli_past_begin(&exporting.past, &export_options, given.data);
	if (status == PD_EXIT_OK) {
		result = export(&exporting, &err);
		if (result != 0) {
			(void)fprintf(stderr, "%s: %s\n", export_options.command, err.text);
			status = pd_server_exit_status(result);
		}
	}
	pd_buffer_done(&exporting.last);
	pd_cli_past_end(&exporting.past);
	return status;
}

/* ---- import ---- */

static const struct pd_option import_table[] = {
	OPTION_DATA,
	{ "as", "NAME", PD_OPTION_TEXT, AT(as), 0, 0,
	  "[TENANT/]NAME of the new actor (default: the name in the file)." },
	{ "o", "FORMAT", PD_OPTION_FORMAT, AT(json), 0, 0, "text (default) or json: one object." },
};

static const struct pd_options import_options = {
	.command = "perdure actor import",
	.synopsis = "perdure actor import [options] FILE|-",
	.about = "Makes an actor of what 'perdure actor export' wrote, under a name that is free: with its "
		 "durability\nlevel and quotas. The server compares the file with its checksum, and what it "
		 "made "
		 "of it with the hash\nof what was exported; then the actor is there as a whole. Else "
		 "nothing of "
		 "it is.",
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

static int import(struct importing *importing, const char *as, struct pd_slice *ret_reply,
		  struct pd_error *err)
{
	struct pd_slice words[5] = { pd_slice_string("PD.ACTOR"), pd_slice_string("IMPORT"),
				     pd_slice_string("BEGIN"), pd_slice_string("AS"),
				     pd_slice_string(as != NULL ? as : "") };
	size_t size = 0;
	int result = pd_admin_ask_slices(&importing->admin, words, as != NULL ? 5 : 3, ret_reply, err);

	words[2] = pd_slice_string("PUT");
	while (result == 0) {
		result = read_piece(importing, &size, err);
		if (result != 0 || size == 0)
			break;
		words[3] = pd_slice(importing->piece, size);
		result = pd_admin_ask_slices(&importing->admin, words, 4, ret_reply, err);
	}
	words[2] = pd_slice_string("END");
	return result == 0 ? pd_admin_ask_slices(&importing->admin, words, 3, ret_reply, err) : result;
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
		result = check_file(importing->admin.os, path, "- for standard input", &err);
		if (result == 0)
			result = pd_os_open(importing->admin.os, path, PD_OS_READ, &importing->file, &err);
	}
	if (result == 0)
		result = import(importing, given->as, &reply, &err);
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
