#include "backup/actors.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "backup/piece.h"
#include "backup/scan.h"
#include "base/memory.h"
#include "base/timestamp.h"
#include "crypto/digest.h"
#include "engine/engine.h"
#include "restore/export.h"
#include "restore/import_line.h"

#define INDEX_MAX ((size_t)4 * 1024 * 1024 * 1024)
#define DIGITS    (2u * PD_SHA256_SIZE)

struct pd_backup_actors {
	struct pd_repository *repository;
	const struct pd_backup_manifest *manifest;
	const struct pd_backup_watch *watch;
	struct pd_buffer index;
	struct pd_scan scan;    /* behind the one at hand */
	struct pd_buffer names; /* of the one at hand, and of the one before it */
	struct pd_backup_actor actor;
	uint64_t behind; /* where the lines of the next begin */
	/* The piece at hand. */
	size_t file;      /* the manifest's file_count: none is */
	uint64_t file_at; /* where it begins */
	struct pd_slice content;
	uint64_t done, total; /* bytes read, for whoever follows it */
};

static int no_memory(struct pd_error *err)
{
	return pd_error_set(err, PD_NO_MEMORY, "out of memory while reading a backup of some actors");
}

static int disagrees(const struct pd_backup_actors *actors, struct pd_error *err)
{
	return pd_error_set(
		err, PD_CORRUPT,
		"the index of backup %s does not agree with its manifest, though both are as they "
		"were written: Perdure has not written them so",
		actors->manifest->id);
}

static int wrong(const struct pd_backup_actors *actors, const struct pd_backup_actor *actor, const char *what,
		 struct pd_error *err)
{
	return pd_error_set(err, PD_CORRUPT, "actor '%.*s' in backup %s %s: use another backup",
			    (int)(actor->name.size < 100 ? actor->name.size : 100),
			    (const char *)actor->name.data, actors->manifest->id, what);
}

/* ---- the index ---- */

static int read_index(struct pd_backup_actors *actors, struct pd_error *err)
{
	const struct pd_backup_manifest *manifest = actors->manifest;
	int result = 0;

	for (size_t i = 0; i < manifest->file_count && result == 0; i++) {
		const struct pd_backup_file *file = &manifest->files[i];
		struct pd_slice content;

		if (file->part == PD_BACKUP_LINES)
			actors->total += file->size;
		for (size_t n = 0; file->part == PD_BACKUP_INDEX && n < file->piece_count && result == 0;
		     n++) {
			result = pd_backup_step(actors->watch, 0, 0, err);
			if (result == 0)
				result = pd_piece_get(actors->repository,
						      &manifest->pieces[file->first_piece + n],
						      pd_backup_piece_size(file, n), &content, err);
			if (result == 0 && pd_buffer_append_slice(&actors->index, content) != 0)
				result = no_memory(err);
		}
	}
	return result;
}

static bool take_hash(struct pd_scan *scan, struct pd_hash128 *hash)
{
	uint8_t bytes[16];

	if (!pd_scan_hex(pd_scan_until(scan, ' '), bytes, sizeof bytes))
		return false;
	*hash = (struct pd_hash128){ 0 };
	for (size_t i = 0; i < 8; i++) {
		hash->high = hash->high << 8 | bytes[i];
		hash->low = hash->low << 8 | bytes[8 + i];
	}
	return true;
}

static void rewind_index(struct pd_backup_actors *actors)
{
	actors->scan = (struct pd_scan){ pd_buffer_slice(&actors->index), false };
	actors->behind = 0;
	pd_buffer_clear(&actors->names);
}

/* 1: the next one; 0: that were all, or what comes is none. */
static int next(struct pd_backup_actors *actors)
{
	struct pd_backup_actor *actor = &actors->actor;
	struct pd_scan *scan = &actors->scan;
	struct pd_scan line;
	bool has_hash;

	if (scan->rest.size == 0 || scan->bad)
		return 0;
	line = (struct pd_scan){ pd_scan_line(scan, "actor"), false };
	actor->id = pd_scan_number_until(&line, ' ');
	actor->keys = pd_scan_number_until(&line, ' ');
	actor->bytes = pd_scan_number_until(&line, ' ');
	actor->size = pd_scan_number_until(&line, ' ');
	has_hash = take_hash(&line, &actor->hash);
	actor->at = actors->behind;
	actors->behind += actor->size;
	pd_buffer_clear(&actors->names);
	if (scan->bad || line.bad || !has_hash || !pd_scan_word(line.rest, &actors->names) ||
	    actors->names.size == 0) {
		pd_scan_fail(scan);
		scan->bad = true;
		return 0;
	}
	actor->name = pd_buffer_slice(&actors->names);
	return 1;
}

/* Names in their order, each once; lines and keys of all of them, as many as there are. */
static int check_index(struct pd_backup_actors *actors, struct pd_error *err)
{
	const struct pd_backup_manifest *manifest = actors->manifest;
	uint64_t count = 0, keys = 0;
	struct pd_buffer last;
	bool in_order = true;
	int result = 0;

	pd_buffer_init(&last, PD_NAME_SIZE_MAX);
	rewind_index(actors);
	while (in_order && result == 0 && next(actors) == 1) {
		const struct pd_backup_actor *actor = &actors->actor;

		in_order = (count == 0 || pd_slice_compare(pd_buffer_slice(&last), actor->name) < 0) &&
			   actor->size > 0 && actor->size <= actors->total - actor->at;
		pd_buffer_clear(&last);
		if (pd_buffer_append_slice(&last, actor->name) != 0)
			result = no_memory(err);
		count++;
		keys += actor->keys;
	}
	pd_buffer_done(&last);
	if (result == 0 && (!in_order || actors->scan.bad || count != manifest->actors ||
			    keys != manifest->keys || actors->behind != actors->total))
		result = disagrees(actors, err);
	rewind_index(actors);
	return result;
}

int pd_backup_actors_open(struct pd_repository *repository, const struct pd_backup_manifest *manifest,
			  const struct pd_backup_watch *watch, struct pd_backup_actors **ret_actors,
			  struct pd_error *err)
{
	struct pd_backup_actors *actors;
	int result;

	if (manifest->kind != PD_BACKUP_ACTORS)
		return pd_error_set(err, PD_INVALID, "backup %s is of a whole directory", manifest->id);
	actors = pd_calloc(1, sizeof *actors);
	if (actors == NULL)
		return no_memory(err);
	actors->repository = repository;
	actors->manifest = manifest;
	actors->watch = watch;
	actors->file = manifest->file_count;
	pd_buffer_init(&actors->index, INDEX_MAX);
	pd_buffer_init(&actors->names, PD_NAME_SIZE_MAX);
	repository->pieces = PD_PIECES_OF_ACTORS;
	result = read_index(actors, err);
	if (result == 0)
		result = check_index(actors, err);
	if (result == 0)
		*ret_actors = actors;
	else
		pd_backup_actors_close(actors);
	return result;
}

void pd_backup_actors_close(struct pd_backup_actors *actors)
{
	if (actors == NULL)
		return;
	actors->repository->pieces = PD_PIECES_OF_FILES;
	pd_buffer_done(&actors->index);
	pd_buffer_done(&actors->names);
	pd_free(actors);
}

const struct pd_backup_actor *pd_backup_actors_next(struct pd_backup_actors *actors)
{
	if (next(actors) == 1)
		return &actors->actor;
	rewind_index(actors);
	return NULL;
}

const struct pd_backup_actor *pd_backup_actors_find(struct pd_backup_actors *actors, struct pd_slice name)
{
	const struct pd_backup_actor *actor;

	rewind_index(actors);
	while ((actor = pd_backup_actors_next(actors)) != NULL)
		if (pd_slice_equal(actor->name, name))
			break;
	return actor;
}

/* ---- lines ---- */

/* The next of the lines behind `from`, or the first. false: there are none. */
static bool next_file(struct pd_backup_actors *actors)
{
	const struct pd_backup_manifest *manifest = actors->manifest;
	bool first = actors->file == manifest->file_count;
	size_t i = first ? 0 : actors->file + 1;
	uint64_t at = first ? 0 : actors->file_at + manifest->files[actors->file].size;

	while (i < manifest->file_count && manifest->files[i].part != PD_BACKUP_LINES)
		i++;
	if (i == manifest->file_count)
		return false;
	actors->file = i;
	actors->file_at = at;
	actors->content = pd_slice(NULL, 0);
	return true;
}

/* What there is from there on, of the piece that has it. */
static int look_at(struct pd_backup_actors *actors, uint64_t at, struct pd_slice *ret_bytes,
		   struct pd_error *err)
{
	const struct pd_backup_manifest *manifest = actors->manifest;
	const struct pd_backup_file *file;
	int result = pd_backup_step(actors->watch, actors->done, actors->total, err);

	if (result != 0)
		return result;
	if (actors->file == manifest->file_count || at < actors->file_at)
		actors->file = manifest->file_count;
	while (actors->file == manifest->file_count ||
	       at - actors->file_at >= manifest->files[actors->file].size)
		if (!next_file(actors))
			return disagrees(actors, err);
	file = &manifest->files[actors->file];
	if (actors->content.size == 0)
		result = pd_piece_get(actors->repository, &manifest->pieces[file->first_piece],
				      (size_t)file->size, &actors->content, err);
	if (result != 0) {
		actors->content = pd_slice(NULL, 0);
		return result;
	}
	*ret_bytes = pd_slice(actors->content.data + (at - actors->file_at),
			      actors->content.size - (size_t)(at - actors->file_at));
	return 0;
}

/* ---- an export ---- */

struct reading {
	struct pd_backup_actors *actors;
	const struct pd_backup_actor *actor;
	int (*take)(void *context, struct pd_slice lines, struct pd_error *err);
	void *context;
	struct pd_sha256 *was, *is; /* of the lines as they are kept, and as they are given */
	struct pd_buffer line;      /* the first, or the last, made anew */
	bool begun;
};

/* `,"at":…,"at_time":…` of no moment, and of this one. */
static void format_moment(const struct pd_backup_moment *moment,
			  char text[PD_BOOKMARK_SIZE + PD_TIMESTAMP_SIZE + 32])
{
	char bookmark[PD_BOOKMARK_SIZE], when[PD_TIMESTAMP_SIZE];

	pd_bookmark_format(0, moment->epoch, moment->lsn, bookmark);
	pd_timestamp_format(moment->time_us, 6, when);
	(void)snprintf(text, PD_BOOKMARK_SIZE + PD_TIMESTAMP_SIZE + 32, ",\"at\":\"%s\",\"at_time\":\"%s\"",
		       bookmark, when);
}

/* Quotes within a name are escaped: what is found is no part of it. */
static int give_first(struct reading *reading, struct pd_slice line, struct pd_error *err)
{
	static const struct pd_backup_moment none = { 0 };
	char kept[PD_BOOKMARK_SIZE + PD_TIMESTAMP_SIZE + 32], given[sizeof kept];
	const uint8_t *at;
	size_t size;

	format_moment(&none, kept);
	format_moment(&reading->actors->manifest->end, given);
	size = strlen(kept);
	at = memmem(line.data, line.size, kept, size);
	if (at == NULL)
		return wrong(reading->actors, reading->actor, "has another first line than is written", err);
	if (pd_buffer_append(&reading->line, line.data, (size_t)(at - line.data)) != 0 ||
	    pd_buffer_append_slice(&reading->line, pd_slice_string(given)) != 0 ||
	    pd_buffer_append(&reading->line, at + size, (size_t)(line.data + line.size - at) - size) != 0 ||
	    pd_sha256_add(reading->is, pd_buffer_slice(&reading->line)) != 0)
		return no_memory(err);
	reading->begun = true;
	return reading->take(reading->context, pd_buffer_slice(&reading->line), err);
}

/* NULL: it is the last line of what came before it. */
static const char *find_wrong(const struct reading *reading, struct pd_slice text,
			      const uint8_t was[PD_SHA256_SIZE])
{
	const struct pd_backup_actor *actor = reading->actor;
	struct pd_buffer nothing;
	struct pd_import_line line = { .name = &nothing, .bytes = &nothing };
	int result;

	pd_buffer_init(&nothing, PD_EXPORT_LINE_MAX);
	result = pd_import_line_parse(pd_slice(text.data, text.size - 1), false, &line, NULL);
	pd_buffer_done(&nothing);
	if (result != 0 || line.kind != PD_IMPORT_END)
		return "has no last line";
	if (memcmp(line.sha256, was, PD_SHA256_SIZE) != 0)
		return "has another checksum than its lines";
	if (line.hash.high != actor->hash.high || line.hash.low != actor->hash.low)
		return "has another hash than the index says";
	return line.keys != actor->keys ? "has other keys than the index says" : NULL;
}

/* …,"sha256":"…"} */
static int give_last(struct reading *reading, struct pd_slice line, struct pd_error *err)
{
	const size_t behind = sizeof "\"}\n" - 1;
	uint8_t was[PD_SHA256_SIZE], is[PD_SHA256_SIZE];
	char digits[DIGITS + 1];
	const char *what;

	if (pd_sha256_finish(reading->was, was) != 0 || pd_sha256_finish(reading->is, is) != 0)
		return no_memory(err);
	what = find_wrong(reading, line, was);
	if (what != NULL)
		return wrong(reading->actors, reading->actor, what, err);
	pd_scan_format_hex(is, sizeof is, digits);
	pd_buffer_clear(&reading->line);
	if (pd_buffer_append(&reading->line, line.data, line.size - behind - DIGITS) != 0 ||
	    pd_buffer_append(&reading->line, digits, DIGITS) != 0 ||
	    pd_buffer_append(&reading->line, line.data + line.size - behind, behind) != 0)
		return no_memory(err);
	return reading->take(reading->context, pd_buffer_slice(&reading->line), err);
}

static int give(struct reading *reading, struct pd_slice lines, bool is_last, struct pd_error *err)
{
	if (is_last)
		return give_last(reading, lines, err);
	if (pd_sha256_add(reading->was, lines) != 0)
		return no_memory(err);
	if (!reading->begun)
		return give_first(reading, lines, err);
	if (pd_sha256_add(reading->is, lines) != 0)
		return no_memory(err);
	return reading->take(reading->context, lines, err);
}

/* Of what is there, of which `left` bytes are the actor's: the first line alone, then all up to the last, and that alone. No line is in two pieces. */
static int next_lines(const struct reading *reading, struct pd_slice bytes, uint64_t left,
		      struct pd_slice *ret_lines, bool *ret_last, struct pd_error *err)
{
	struct pd_slice all = pd_slice(bytes.data, left < bytes.size ? (size_t)left : bytes.size);
	bool ends = left <= bytes.size;
	const uint8_t *end = all.data[all.size - 1] != '\n' ? NULL
			     : !reading->begun              ? memchr(all.data, '\n', all.size)
			     : ends && all.size > 1         ? memrchr(all.data, '\n', all.size - 1)
							    : all.data + all.size - 1;

	*ret_last = false;
	if (all.data[all.size - 1] != '\n' || (!reading->begun && end == all.data + all.size - 1 && ends))
		return wrong(reading->actors, reading->actor, "has lines without an end", err);
	if (end == NULL) {
		*ret_last = true;
		*ret_lines = all;
		return 0;
	}
	*ret_lines = pd_slice(all.data, (size_t)(end - all.data) + 1);
	return 0;
}

static int read_all(struct reading *reading, struct pd_error *err)
{
	const struct pd_backup_actor *actor = reading->actor;
	uint64_t at = actor->at, left = actor->size;
	bool last = false;
	int result = 0;

	while (left > 0 && result == 0) {
		struct pd_slice bytes = { 0 }, lines = { 0 };

		result = look_at(reading->actors, at, &bytes, err);
		if (result == 0)
			result = next_lines(reading, bytes, left, &lines, &last, err);
		if (result == 0)
			result = give(reading, lines, last, err);
		if (result != 0)
			break;
		at += lines.size;
		left -= lines.size;
		reading->actors->done += lines.size;
	}
	if (result == 0 && !last)
		result = wrong(reading->actors, actor, "has no last line", err);
	return result;
}

int pd_backup_actors_read(struct pd_backup_actors *actors, const struct pd_backup_actor *actor,
			  int (*take)(void *context, struct pd_slice lines, struct pd_error *err),
			  void *context, struct pd_error *err)
{
	struct reading reading = { .actors = actors, .actor = actor, .take = take, .context = context };
	int result = 0;

	pd_buffer_init(&reading.line, 2 * PD_EXPORT_LINE_MAX);
	if (pd_sha256_new(&reading.was) != 0 || pd_sha256_new(&reading.is) != 0)
		result = no_memory(err);
	if (result == 0)
		result = read_all(&reading, err);
	pd_sha256_free(reading.was);
	pd_sha256_free(reading.is);
	pd_buffer_done(&reading.line);
	return result;
}
