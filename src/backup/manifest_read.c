/* Reading a manifest. Nothing of it is believed before its last line agrees with all above. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "backup/manifest.h"
#include "backup/scan.h"
#include "base/memory.h"

#define LAST_LINE_SIZE (sizeof "sha256 \n" - 1 + 2 * PD_SHA256_SIZE)

static bool is_whole(struct pd_slice text, struct pd_slice *ret_lines, int *ret_result)
{
	uint8_t said[PD_SHA256_SIZE], is[PD_SHA256_SIZE];
	struct pd_scan scan;

	*ret_result = 0;
	if (text.size < LAST_LINE_SIZE)
		return false;
	*ret_lines = pd_slice(text.data, text.size - LAST_LINE_SIZE);
	scan = (struct pd_scan){ pd_slice(text.data + ret_lines->size, LAST_LINE_SIZE), false };
	if (!pd_scan_hex(pd_scan_line(&scan, "sha256"), said, sizeof said) || scan.rest.size != 0)
		return false;
	*ret_result = pd_crypto_sha256(*ret_lines, is);
	return *ret_result == 0 && memcmp(said, is, sizeof is) == 0;
}

static void take_string(struct pd_scan *scan, const char *word, char *text, size_t size)
{
	struct pd_slice value = pd_scan_line(scan, word);

	if (value.size >= size) {
		pd_scan_fail(scan);
		return;
	}
	if (value.size > 0)
		memcpy(text, value.data, value.size);
	text[value.size] = '\0';
}

static void take_hex(struct pd_scan *scan, const char *word, uint8_t *bytes, size_t size)
{
	if (!pd_scan_hex(pd_scan_line(scan, word), bytes, size))
		pd_scan_fail(scan);
}

static void take_moment(struct pd_scan *scan, const char *word, struct pd_backup_moment *moment)
{
	struct pd_scan line = { pd_scan_line(scan, word), false };
	int64_t time_us;

	/* The last number ends with the line, which was cut off. */
	moment->epoch = pd_scan_number_until(&line, ' ');
	moment->lsn = pd_scan_number_until(&line, ' ');
	if (line.bad || !pd_slice_to_int64(line.rest, &time_us) || time_us < 0)
		pd_scan_fail(scan);
	else
		moment->time_us = (uint64_t)time_us;
}

/* The checksum was right, so this is what was written; it makes sense if it is one of the kinds. */
static void take_kind(struct pd_scan *scan, struct pd_backup_manifest *manifest)
{
	struct pd_slice text = pd_scan_line(scan, "kind");

	for (int i = PD_BACKUP_FULL; i <= PD_BACKUP_ACTORS; i++)
		if (pd_slice_equal(text, pd_slice_string(pd_backup_kind_name((enum pd_backup_kind)i)))) {
			manifest->kind = (enum pd_backup_kind)i;
			return;
		}
	pd_scan_fail(scan);
}

static void take_head(struct pd_scan *scan, struct pd_backup_manifest *manifest)
{
	uint64_t shard;

	take_string(scan, "id", manifest->id, sizeof manifest->id);
	take_kind(scan, manifest);
	take_string(scan, "parent", manifest->parent, sizeof manifest->parent);
	if (strcmp(manifest->parent, "-") == 0)
		manifest->parent[0] = '\0';
	take_hex(scan, "repository", manifest->repository_id, sizeof manifest->repository_id);
	take_hex(scan, "cluster", manifest->cluster_id, sizeof manifest->cluster_id);
	shard = pd_scan_number(scan, "shard");
	if (shard > UINT32_MAX)
		pd_scan_fail(scan);
	manifest->shard = (uint32_t)shard;
	manifest->lease = pd_scan_number(scan, "lease");
	take_string(scan, "tool", manifest->tool, sizeof manifest->tool);
	manifest->begun_us = pd_scan_number(scan, "begun_us");
	manifest->ended_us = pd_scan_number(scan, "ended_us");
	take_moment(scan, "base", &manifest->base);
	take_moment(scan, "end", &manifest->end);
	take_string(scan, "state", manifest->state, sizeof manifest->state);
	manifest->has_state = strcmp(manifest->state, "-") != 0;
	manifest->actors = pd_scan_number(scan, "actors");
	manifest->keys = pd_scan_number(scan, "keys");
	manifest->bytes = pd_scan_number(scan, "bytes");
	manifest->sent = pd_scan_number(scan, "sent");
	if (pd_backup_is_of_actors(manifest->id) != (manifest->kind == PD_BACKUP_ACTORS))
		pd_scan_fail(scan);
	if (!pd_backup_id_fits(manifest->id) ||
	    (manifest->parent[0] != '\0' && !pd_backup_id_fits(manifest->parent)) || manifest->end.lsn == 0)
		pd_scan_fail(scan);
}

/* As a text of its own. 0 or PD_NO_MEMORY. */
static int take_word(struct pd_scan *scan, struct pd_slice word, char **ret_text)
{
	struct pd_buffer text;
	int result = 0;

	pd_buffer_init(&text, word.size + 1);
	if (!pd_scan_word(word, &text) || text.size == 0 || memchr(text.data, '\0', text.size) != NULL)
		pd_scan_fail(scan);
	else if (pd_buffer_append(&text, "", 1) != 0 ||
		 (*ret_text = pd_strdup((const char *)text.data)) == NULL)
		result = PD_NO_MEMORY;
	pd_buffer_done(&text);
	return result;
}

/* Which actors they are of. Nothing of a directory is in it, and nothing goes before it. */
static int take_selection(struct pd_scan *scan, struct pd_backup_manifest *manifest)
{
	struct pd_slice tenant = pd_scan_line(scan, "tenant"), match = pd_scan_line(scan, "match");
	int result = take_word(scan, tenant, &manifest->tenant);

	if (result == 0 && !scan->bad && !pd_slice_equal(match, pd_slice_string("*")))
		result = take_word(scan, match, &manifest->match);
	if (manifest->parent[0] != '\0' || manifest->has_state || manifest->base.lsn != 0 ||
	    manifest->actors == 0)
		pd_scan_fail(scan);
	return result;
}

static enum pd_backup_part part_of(const struct pd_scan *scan)
{
	if (pd_scan_is(scan, "log"))
		return PD_BACKUP_LOG_FILE;
	if (pd_scan_is(scan, "lines"))
		return PD_BACKUP_LINES;
	return pd_scan_is(scan, "index") ? PD_BACKUP_INDEX : PD_BACKUP_FILE;
}

/* Has a backup of that kind such files? Lines are cut where they are, a piece each. */
static bool has_part(const struct pd_backup_manifest *manifest, const struct pd_backup_file *file)
{
	bool is_file = file->part == PD_BACKUP_FILE || file->part == PD_BACKUP_LOG_FILE;

	if (file->part == PD_BACKUP_LINES && (file->size == 0 || file->size > PD_PIECE_SIZE))
		return false;
	return manifest->kind == PD_BACKUP_ACTORS ? !is_file : file->part != PD_BACKUP_LINES;
}

/* 0 or PD_NO_MEMORY. */
static int take_pieces(struct pd_scan *scan, struct pd_backup_manifest *manifest, uint64_t count)
{
	int result = 0;

	for (uint64_t i = 0; i < count && !scan->bad && result == 0; i++) {
		struct pd_piece piece;

		take_hex(scan, "piece", piece.digest, sizeof piece.digest);
		if (!scan->bad)
			result = pd_backup_add_piece(manifest, &piece);
	}
	return result;
}

static void take_hash(struct pd_scan *line, struct pd_backup_file *file)
{
	struct pd_slice text = pd_scan_until(line, ' ');
	uint8_t bytes[16];

	if (!pd_slice_equal(text, pd_slice_string("-")) && !pd_scan_hex(text, bytes, sizeof bytes)) {
		pd_scan_fail(line);
		return;
	}
	memcpy(file->hash, text.data, text.size);
	file->hash[text.size] = '\0';
}

static void take_sealed(struct pd_scan *line, struct pd_backup_file *file)
{
	struct pd_slice text = pd_scan_until(line, ' ');

	file->sealed = pd_slice_equal(text, pd_slice_string("sealed"));
	if (!file->sealed && !pd_slice_equal(text, pd_slice_string("open")))
		pd_scan_fail(line);
}

static int take_file(struct pd_scan *scan, struct pd_backup_manifest *manifest)
{
	static const char *const words[] = { "file", "log", "index", "lines" };
	enum pd_backup_part part = part_of(scan);
	struct pd_scan line = { pd_scan_line(scan, words[part]), false };
	struct pd_backup_file *file, found = { .part = part };
	uint64_t pieces;
	int result;

	found.size = pd_scan_number_until(&line, ' ');
	found.stored = pd_scan_number_until(&line, ' ');
	pieces = pd_scan_number_until(&line, ' ');
	if (part == PD_BACKUP_FILE)
		take_hash(&line, &found);
	if (part == PD_BACKUP_LOG_FILE) {
		found.epoch = pd_scan_number_until(&line, ' ');
		found.first_lsn = pd_scan_number_until(&line, ' ');
		found.last_lsn = pd_scan_number_until(&line, ' ');
		take_sealed(&line, &found);
	}
	/* So many pieces as the size asks for: what comes after can rely on that. */
	if (line.bad || pieces != found.size / PD_PIECE_SIZE + (found.size % PD_PIECE_SIZE > 0) ||
	    !has_part(manifest, &found) ||
	    (part != PD_BACKUP_INDEX && part != PD_BACKUP_LINES && !pd_backup_name_fits(part, line.rest))) {
		pd_scan_fail(scan);
		return 0;
	}
	result = pd_backup_add_file(manifest, part, line.rest, &file);
	if (result != 0)
		return result;
	file->size = found.size;
	file->stored = found.stored;
	file->epoch = found.epoch;
	file->first_lsn = found.first_lsn;
	file->last_lsn = found.last_lsn;
	file->sealed = found.sealed;
	if (part == PD_BACKUP_FILE)
		memcpy(file->hash, found.hash, sizeof file->hash);
	return take_pieces(scan, manifest, pieces);
}

int pd_backup_manifest_parse(struct pd_slice text, const char *what, struct pd_backup_manifest *manifest,
			     struct pd_error *err)
{
	struct pd_scan scan = { 0 };
	uint64_t version, files;
	int result;

	if (!is_whole(text, &scan.rest, &result)) {
		if (result != 0)
			return pd_error_set(err, result, "out of memory while reading %s", what);
		return pd_error_set(err, PD_CORRUPT,
				    "%s is damaged: its checksum is wrong. Put it back from a copy, or use "
				    "another backup",
				    what);
	}
	version = pd_scan_number(&scan, "perdure-backup");
	if (!scan.bad && version > PD_BACKUP_FORMAT_VERSION)
		return pd_error_set(err, PD_NEWER_FORMAT,
				    "%s has format %" PRIu64
				    ", this build knows up to %d: use a newer Perdure",
				    what, version, PD_BACKUP_FORMAT_VERSION);
	take_head(&scan, manifest);
	if (!scan.bad && manifest->kind == PD_BACKUP_ACTORS)
		result = take_selection(&scan, manifest);
	if ((version == PD_BACKUP_FORMAT_VERSION) != (manifest->kind == PD_BACKUP_ACTORS))
		pd_scan_fail(&scan);
	files = pd_scan_number(&scan, "files");
	while (result == 0 && !scan.bad && scan.rest.size > 0)
		result = take_file(&scan, manifest);
	if (result != 0)
		return pd_error_set(err, result, "out of memory while reading %s", what);
	if (scan.bad || version == 0 || manifest->file_count != files)
		return pd_error_set(
			err, PD_CORRUPT,
			"%s does not make sense, though its checksum holds: it was not written by Perdure",
			what);
	return 0;
}
