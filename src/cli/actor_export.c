/* `perdure actor export`: an actor as a file of lines (docs/format/export.md), or several as a file each. The server, or the directory where
 * none runs, makes the lines. */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "cli/actor_bulk.h"
#include "cli/actor_private.h"
#include "cli/cli.h"
#include "cli/output.h"
#include "cli/past.h"
#include "restore/export.h"
#include "restore/import_line.h"
#include "restore/job.h"
#include "server/server.h"
#include "wire/resp.h"

#define HEADER_MAX 4096u /* of a first line that is looked at */
#define FILE_NAME  200u  /* of a file, of an actor whose name is longer than that */
#define NAME_KEPT  160u
#define BUSY_US    UINT64_C(20000)
#define BUSY_MAX_US \
	(PD_RESTORE_IDLE_US + UINT64_C(60000000)) /* by then, one that nobody goes on with is given up */

struct given {
	const char *data, *at, *file, *directory;
	struct pd_bulk_given bulk;
	bool json, without_relations;
};

#define AT(field) offsetof(struct given, field)
#define OPTION_DATA                                                                   \
	{                                                                             \
		"data", "DIR", PD_OPTION_TEXT, AT(data), 0, 0,                        \
			"Directory of the data (default: PERDURE_DATA, else ./data)." \
	}

int pd_actor_check_file(struct pd_os *os, const char *path, const char *instead, struct pd_error *err)
{
	struct pd_os_file_info info;

	if (pd_os_info(os, path, &info, NULL) != 0 || (!info.is_special && !info.is_directory))
		return 0;
	return pd_error_set(err, PD_INVALID, "%s is %s: name a file, or say %s", path,
			    info.is_directory ? "a directory" : "a pipe or a device", instead);
}

struct exporting {
	struct pd_cli_past *past;
	struct pd_slice actor;
	const char *at, *path;
	bool without_relations;
	const struct pd_bulk *bulk; /* of which it is one; NULL: it is the only one */
	struct pd_admin *target;    /* a server that takes them; NULL: */
	struct pd_os_file *file;    /* NULL: standard output */
	char *beside;               /* its name until it is whole */
	uint64_t bytes;
	struct pd_buffer last; /* the last line, so far */
	uint64_t keys;         /* as that one has it, like the hash */
	char hash[33];
};

static const struct pd_option export_table[] = {
	OPTION_DATA,
	{ "at", "MOMENT", PD_OPTION_TEXT, AT(at), 0, 0, "What it was then (default: now)." },
	{ "f", "FILE", PD_OPTION_TEXT, AT(file), 0, 0,
	  "Into this file, which is there when it is whole (default: -, standard output)." },
	{ "directory", "DIR", PD_OPTION_TEXT, AT(directory), 0, 0,
	  "Of several: into this directory, which is made if need be, NAME.jsonl each." },
	{ "without-relations", NULL, PD_OPTION_SWITCH, AT(without_relations), 0, 0,
	  "Not what it was related to: a file that has none is read by every version." },
	PD_BULK_OPTIONS(struct given),
	{ "o", "FORMAT", PD_OPTION_FORMAT, AT(json), 0, 0,
	  "Of several: text (default) or json, a line each." },
};

static const struct pd_options export_options = {
	.command = "perdure actor export",
	.synopsis =
		"perdure actor export [options] [TENANT/]NAME | --all | --tenant TENANT | --match PATTERN",
	.about =
		"Writes all that an actor had at a moment as lines of JSON, with what it was related to, a "
		"checksum and the hash of "
		"its state\nat the end: for 'perdure actor import', here or elsewhere, or for any program. A "
		"running server goes\non serving meanwhile; without one the directory is read as it lies "
		"there.\n\n" PD_BULK_ABOUT " A file that is there of the\nsame moment stays.\n\n"
		"A moment is now, a time such as 2026-01-15T14:30:00Z, so long ago (-10m, -2h30m, -1d), an "
		"LSN, "
		"a\nbookmark, or snapshot:NAME.",
	.table = export_table,
	.count = sizeof export_table / sizeof *export_table,
	.environment_count = 1, /* PERDURE_DATA */
	.after = "Examples:\n"
		 "  perdure actor export -f user-42.jsonl user:42\n"
		 "  perdure actor export --at -1d user:42 | jq -r .key\n"
		 "  perdure actor export --match 'user:*' --directory exported\n"
		 "\n"
		 "Exit status:\n"
		 "  0  done\n"
		 "  1  no such actor or moment, or it cannot be read or written: what came has no last line, "
		 "and\n"
		 "     no import takes it. Of several: of some, each of which is named, or none is selected\n"
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

static int hand_out(void *context, struct pd_slice piece, struct pd_error *err)
{
	struct exporting *exporting = context;
	int result = 0;

	if (keep_last(exporting, piece) != 0)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for a line");
	if (exporting->target != NULL)
		result = pd_actor_import_put(exporting->target, piece, err);
	else if (exporting->file != NULL)
		result = pd_os_write(exporting->file, piece.data, piece.size, exporting->bytes, err);
	else if (fwrite(piece.data, 1, piece.size, stdout) != piece.size)
		result = pd_error_set(err, PD_IO, "it cannot be written to standard output");
	exporting->bytes += piece.size;
	return result;
}

/* The first piece. Others may be at it, as many as the server lets: one of several waits for them. */
static int begin(struct exporting *exporting, struct pd_slice *ret_reply, struct pd_error *err)
{
	struct pd_slice words[] = {
		pd_slice_string("PD.ACTOR"),   pd_slice_string("EXPORT"),
		pd_slice_string("BEGIN"),      exporting->actor,
		pd_slice_string("AT"),         pd_slice_string(exporting->at != NULL ? exporting->at : "now"),
		pd_slice_string("NORELATIONS")
	};
	size_t count = exporting->without_relations ? 7 : 6;
	struct pd_admin *admin = &exporting->past->admin;
	uint64_t waited_us = 0;
	int result;

	while ((result = pd_admin_ask_slices(admin, words, count, ret_reply, err)) == PD_BUSY) {
		if (exporting->bulk == NULL || waited_us > BUSY_MAX_US)
			return result;
		if (atomic_load(&exporting->bulk->stopped))
			return pd_error_set(err, PD_CANCELLED, "interrupted before it was begun");
		pd_os_sleep_us(admin->os, BUSY_US);
		waited_us += BUSY_US;
	}
	return result;
}

static int ask_server(struct exporting *exporting, struct pd_error *err)
{
	const char *words[] = { "EXPORT", "NEXT", NULL };
	struct pd_slice reply, piece;
	int result = begin(exporting, &reply, err);

	if (result != 0)
		return result;
	for (;;) {
		piece = pd_reply_read(&reply).text;
		if (piece.size == 0)
			break;
		result = hand_out(exporting, piece, err);
		if (result == 0)
			result = pd_cli_past_ask(exporting->past, words, &reply, err);
		if (result != 0)
			break;
	}
	/* The connection is free for the next one. After an error of the server's it is already, and says so. */
	words[1] = "END";
	(void)!pd_cli_past_ask(exporting->past, words, &reply, NULL);
	return result;
}

/* Nobody serves it. */
static int read_directory(struct exporting *exporting, struct pd_error *err)
{
	struct pd_slice words[4] = { pd_slice_string("EXPORT"), exporting->actor, pd_slice_string("AT"),
				     pd_slice_string(exporting->at != NULL ? exporting->at : "now") };
	struct pd_restore_known known = { .tenant = pd_slice_string("default") };
	struct pd_restore_source source = { 0 };
	struct pd_restore_order order;
	struct pd_export export;
	struct pd_buffer piece;
	int result = pd_restore_order_parse(words, 4, &order, err);

	pd_restore_take_apart(order.actor, &known.tenant, &known.name);
	if (result == 0)
		result = pd_restore_find(exporting->past->history, &order, &known, &source, err);
	pd_export_init(&export, &source, known.name);
	export.without_relations = exporting->without_relations;
	pd_buffer_init(&piece, SIZE_MAX / 2);
	while (result == 0 && !export.done) {
		if (exporting->bulk != NULL && atomic_load(&exporting->bulk->abandoned)) {
			result = pd_error_set(err, PD_CANCELLED, "interrupted");
			break;
		}
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
	struct pd_os *os = exporting->past->admin.os;
	int result = pd_actor_check_file(os, exporting->path, "- for standard output", err);

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
	struct pd_os *os = exporting->past->admin.os;
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
static int check_last(struct exporting *exporting, struct pd_error *err)
{
	struct pd_buffer name, bytes;
	struct pd_import_line line = { .name = &name, .bytes = &bytes };
	int result;

	pd_buffer_init(&name, PD_EXPORT_LINE_MAX);
	pd_buffer_init(&bytes, PD_EXPORT_LINE_MAX);
	result = pd_import_line_parse(pd_buffer_slice(&exporting->last), false, &line, NULL);
	pd_buffer_done(&name);
	pd_buffer_done(&bytes);
	if (result != 0 || line.kind != PD_IMPORT_END)
		return pd_error_set(err, PD_IO, "what the server sent has no end: is it of another version?");
	exporting->keys = line.keys;
	pd_hash128_format(line.hash, exporting->hash);
	return 0;
}

static int report(struct exporting *exporting, struct pd_error *err)
{
	struct pd_output output = { .file = stdout };

	if (exporting->file != NULL) {
		pd_output_word(&output, exporting->actor);
		pd_output_text(&output, ": %" PRIu64 " key%s, %" PRIu64 " bytes in ", exporting->keys,
			       exporting->keys == 1 ? "" : "s", exporting->bytes);
		pd_output_lax(&output, pd_slice_string(exporting->path));
		pd_output_text(&output, " (state %s)\n", exporting->hash);
	}
	return pd_output_finish(&output) ? 0 : pd_error_set(err, PD_IO, "it is not all on standard output");
}

static int fetch(struct exporting *exporting, struct pd_error *err)
{
	const struct pd_bulk *bulk = exporting->bulk;

	if (bulk != NULL && bulk->fetch != NULL)
		return bulk->fetch(bulk, exporting->actor, hand_out, exporting, err);
	return exporting->past->history != NULL ? read_directory(exporting, err) : ask_server(exporting, err);
}

static int export(struct exporting *exporting, struct pd_error *err)
{
	int result;

	pd_buffer_init(&exporting->last, 2 * PD_EXPORT_LINE_MAX);
	result = exporting->path != NULL ? open_file(exporting, err) : 0;
	if (result == 0)
		result = fetch(exporting, err);
	if (result == 0)
		result = check_last(exporting, err);
	if (result == 0 && exporting->bulk == NULL)
		result = report(exporting, err);
	pd_buffer_done(&exporting->last);
	return exporting->path != NULL ? close_file(exporting, result, err) : result;
}

/* ---- several ---- */

/* "DIR/NAME.jsonl": bytes that mean something to a file system, or to a shell, as %2F. No two actors have one file. NULL: out of memory. */
static char *file_of(const char *directory, struct pd_slice name)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.:";
	char text[3 * (2 * PD_NAME_SIZE_MAX + 1) + 1], hash[33];
	struct pd_hasher *hasher;
	size_t size = 0;

	for (size_t i = 0; i < name.size && size + 4 <= sizeof text; i++) {
		char byte = (char)name.data[i];

		if (byte != '\0' && strchr(plain, byte) != NULL && (byte != '.' || i > 0))
			text[size++] = byte;
		else
			size += (size_t)snprintf(text + size, 4, "%%%02X", name.data[i]);
	}
	if (size <= FILE_NAME)
		return pd_asprintf("%s/%.*s.jsonl", directory, (int)size, text);
	hasher = pd_hasher_new();
	if (hasher == NULL)
		return NULL;
	pd_hasher_add(hasher, name.data, name.size);
	pd_hash128_format(pd_hasher_sum(hasher), hash);
	pd_hasher_free(hasher);
	return pd_asprintf("%s/%.*s~%s.jsonl", directory, (int)NAME_KEPT, text, hash);
}

/* Is that file there, of this very moment? One that is there under its name is whole. */
static bool is_there(const struct pd_bulk *bulk, struct pd_os *os, const char *path)
{
	struct pd_os_file *file;
	uint8_t header[HEADER_MAX];
	char at[PD_BOOKMARK_SIZE + 24];
	const uint8_t *end;
	size_t size = 0;
	int result, length = snprintf(at, sizeof at, ",\"at\":\"%s\",\"at_time\":", bulk->bookmark);

	if (bulk->bookmark[0] == '\0' || pd_actor_check_file(os, path, "another", NULL) != 0 ||
	    pd_os_open(os, path, PD_OS_READ, &file, NULL) != 0)
		return false;
	result = pd_os_read(file, header, sizeof header, 0, &size, NULL);
	pd_os_close(file);
	end = result == 0 ? memchr(header, '\n', size) : NULL;
	/* Quotes within a name are escaped: this is no part of one. */
	return end != NULL && memmem(header, (size_t)(end - header), at, (size_t)length) != NULL;
}

/* What is told of one, like a reply. */
static int tell(const struct exporting *exporting, struct pd_bulk_result *result, struct pd_error *err)
{
	struct pd_resp_writer writer = { .buffer = &result->reply, .protocol = 3 };

	pd_resp_write_map(&writer, 4);
	pd_resp_write_bulk_string(&writer, "file");
	pd_resp_write_bulk_string(&writer, exporting->path);
	pd_resp_write_bulk_string(&writer, "keys");
	pd_resp_write_integer(&writer, (int64_t)exporting->keys);
	pd_resp_write_bulk_string(&writer, "bytes");
	pd_resp_write_integer(&writer, (int64_t)exporting->bytes);
	pd_resp_write_bulk_string(&writer, "hash");
	pd_resp_write_bulk_string(&writer, exporting->hash);
	return writer.failed == 0 ? 0 : pd_error_set(err, writer.failed, "out of memory for what is told");
}

int pd_bulk_export(const struct pd_bulk *bulk, struct pd_cli_past *past, struct pd_slice name,
		   struct pd_bulk_result *result, struct pd_error *err)
{
	char *path = file_of(bulk->directory, name);
	struct exporting exporting = { .past = past,
				       .actor = name,
				       .at = bulk->at,
				       .path = path,
				       .without_relations = bulk->without_relations,
				       .bulk = bulk };
	int code;

	if (path == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for the name of a file");
	if (is_there(bulk, past->admin.os, path)) {
		result->outcome = PD_BULK_UNCHANGED;
		pd_free(path);
		return 0;
	}
	code = export(&exporting, err);
	if (code == 0)
		code = tell(&exporting, result, err);
	pd_free(path);
	return code;
}

/* What has no end is nothing, there too. */
int pd_bulk_carry_over(const struct pd_bulk *bulk, struct pd_cli_past *past, struct pd_slice name,
		       struct pd_bulk_result *result, struct pd_error *err)
{
	static const char *const give_up[] = { "PD.ACTOR", "IMPORT", "ABORT", NULL };
	struct exporting exporting = {
		.past = past, .actor = name, .at = bulk->at, .bulk = bulk, .target = bulk->target
	};
	struct pd_slice as = bulk->as != NULL ? pd_slice_string(bulk->as) : name, reply;
	int code = pd_actor_import_begin(bulk->target, as, bulk->replaces, false, err);

	if (code != 0)
		return code;
	code = export(&exporting, err);
	if (code == 0)
		code = pd_actor_import_end(bulk->target, &reply, err);
	else if (!pd_link_is_lost(&bulk->target->link))
		(void)!pd_admin_ask(bulk->target, give_up, &reply, NULL);
	if (code == 0 && pd_buffer_append_slice(&result->reply, reply) != 0)
		code = pd_error_set(err, PD_NO_MEMORY,
				    "it is done, but there is no memory for what the server says of it");
	return code;
}

int pd_bulk_make_directory(const char *path, struct pd_error *err)
{
	struct pd_os_file_info info;
	struct pd_os *os;
	int result = pd_os_real_new(&os, err);

	if (result != 0)
		return result;
	result = pd_os_info(os, path, &info, NULL);
	if (result == 0 && !info.is_directory)
		result = pd_error_set(err, PD_EXISTS, "%s is there, and no directory: name another", path);
	else if (result == PD_NOT_FOUND)
		result = pd_os_mkdir(os, path, err);
	else if (result != 0)
		result = pd_os_info(os, path, &info, err);
	pd_os_free(os);
	return result;
}

static int export_several(const struct given *given)
{
	struct pd_bulk bulk = { .options = &export_options,
				.given = &given->bulk,
				.data = given->data,
				.doing = "exporting",
				.done = "exported",
				.json = given->json,
				.reads = true,
				.has_moment = true,
				.most = PD_RESTORE_EXPORTS_MAX,
				.at = given->at,
				.directory = given->directory,
				.without_relations = given->without_relations,
				.carry_out = pd_bulk_export };
	struct pd_error err = { 0 };

	if (given->directory == NULL)
		return pd_options_wrong(&export_options,
					"where to? Of several each gets a file of its own: say --directory");
	if (given->file != NULL)
		return pd_options_wrong(&export_options, "several do not go into one file: say --directory");
	if (!given->bulk.dry_run && pd_bulk_make_directory(given->directory, &err) != 0) {
		(void)fprintf(stderr, "%s: %s\n", export_options.command, err.text);
		return PD_EXIT_FAILURE;
	}
	return pd_bulk_run(&bulk);
}

/* ---- one ---- */

static int export_alone(const struct given *given, const char *actor)
{
	struct pd_cli_past past;
	struct exporting exporting = { .past = &past,
				       .actor = pd_slice_string(actor),
				       .at = given->at,
				       .without_relations = given->without_relations };
	struct pd_error err = { 0 };
	int status = pd_cli_past_begin(&past, &export_options, given->data), result;

	if (given->file != NULL && strcmp(given->file, "-") != 0)
		exporting.path = given->file;
	if (status == PD_EXIT_OK) {
		result = export(&exporting, &err);
		if (result != 0) {
			(void)fprintf(stderr, "%s: %s\n", export_options.command, err.text);
			status = pd_server_exit_status(result);
		}
	}
	pd_cli_past_end(&past);
	return status;
}

int pd_actor_export_run(int argc, char **argv)
{
	struct given given = { .data = "./data", .bulk = PD_BULK_DEFAULTS };
	const char *actor = NULL;
	int status;

	if (!pd_bulk_take(&export_options, argc, argv, &given, &given.bulk, NULL, &actor, NULL, &status))
		return status;
	if (pd_bulk_is_asked(&given.bulk))
		return export_several(&given);
	if (given.directory != NULL || given.bulk.dry_run || given.json)
		return pd_options_wrong(&export_options, "%s is for several: say --all, --tenant or --match",
					given.directory != NULL ? "--directory"
					: given.json            ? "-o json"
								: "--dry-run");
	return export_alone(&given, actor);
}
