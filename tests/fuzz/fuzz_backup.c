/* A repository of backups, as whoever can write to its store can make it: what it says of itself, manifests and what is planned by them, objects. Checksums are
 * put right, or nothing would get past them, and objects are sealed as with the key. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backup/actors.h"
#include "backup/box.h"
#include "backup/catalog.h"
#include "backup/expire.h"
#include "backup/piece.h"
#include "backup/slot.h"
#include "base/codec.h"
#include "base/crc32c.h"
#include "base/memory.h"
#include "input.h"
#include "os/sim.h"

#define TEXT_MAX ((size_t)64 * 1024)
#define NAME     "data/ab/somewhere"

enum { MANIFESTS_MAX = 3 };

static struct pd_os *machine(void)
{
	struct pd_sim_options options = PD_SIM_OPTIONS_DEFAULT;
	struct pd_os *os;

	PD_ASSERT(pd_os_sim_new(&options, &os, NULL) == 0);
	return os;
}

/* ---- manifests ---- */

/* Whether the file is one that a restore would write where it belongs, and has the pieces that its size asks for. */
static void check_files(const struct pd_backup_manifest *manifest)
{
	size_t pieces = 0;

	for (size_t i = 0; i < manifest->file_count; i++) {
		const struct pd_backup_file *file = &manifest->files[i];
		uint64_t size = 0;

		PD_ASSERT(file->first_piece == pieces);
		for (size_t n = 0; n < file->piece_count; n++) {
			PD_ASSERT(pd_backup_piece_size(file, n) > 0 &&
				  pd_backup_piece_size(file, n) <= PD_PIECE_SIZE);
			size += pd_backup_piece_size(file, n);
		}
		PD_ASSERT(size == file->size);
		pieces += file->piece_count;
		PD_ASSERT((file->name == NULL) ==
			  (file->part == PD_BACKUP_INDEX || file->part == PD_BACKUP_LINES));
		PD_ASSERT(file->part != PD_BACKUP_LINES || file->piece_count == 1);
		PD_ASSERT(manifest->kind == PD_BACKUP_ACTORS ? file->name == NULL
							     : file->part != PD_BACKUP_LINES);
		PD_ASSERT(file->name == NULL || pd_backup_name_fits(file->part, pd_slice_string(file->name)));
		PD_ASSERT(file->name == NULL || strstr(file->name, "..") == NULL ||
			  file->part == PD_BACKUP_FILE);
	}
	PD_ASSERT(pieces == manifest->piece_count);
	PD_ASSERT((manifest->tenant != NULL) == (manifest->kind == PD_BACKUP_ACTORS));
	PD_ASSERT(manifest->tenant != NULL || manifest->match == NULL);
}

/* What makes sense is written as it was read. */
static void write_again(const struct pd_backup_manifest *manifest)
{
	struct pd_backup_manifest again;
	struct pd_buffer once, twice;

	pd_buffer_init(&once, 4 * TEXT_MAX);
	pd_buffer_init(&twice, 4 * TEXT_MAX);
	pd_backup_manifest_init(&again);
	PD_ASSERT(pd_backup_manifest_format(manifest, &once) == 0);
	PD_ASSERT(pd_backup_manifest_parse(pd_buffer_slice(&once), "it", &again, NULL) == 0);
	PD_ASSERT(pd_backup_manifest_format(&again, &twice) == 0);
	PD_ASSERT(pd_slice_equal(pd_buffer_slice(&once), pd_buffer_slice(&twice)));
	pd_backup_manifest_done(&again);
	pd_buffer_done(&once);
	pd_buffer_done(&twice);
}

static bool read_manifest(struct pd_slice lines, bool sealed, struct pd_backup_manifest *manifest)
{
	uint8_t digest[PD_SHA256_SIZE];
	struct pd_error err = { 0 };
	struct pd_buffer text;
	int result;

	pd_buffer_init(&text, 2 * TEXT_MAX);
	PD_ASSERT(pd_buffer_append_slice(&text, lines) == 0);
	if (sealed) {
		PD_ASSERT(pd_crypto_sha256(lines, digest) == 0);
		PD_ASSERT(pd_buffer_printf(&text, "sha256 ") == 0);
		for (size_t i = 0; i < sizeof digest; i++)
			PD_ASSERT(pd_buffer_printf(&text, "%02x", digest[i]) == 0);
		PD_ASSERT(pd_buffer_printf(&text, "\n") == 0);
	}
	pd_backup_manifest_init(manifest);
	result = pd_backup_manifest_parse(pd_buffer_slice(&text), "it", manifest, &err);
	pd_buffer_done(&text);
	PD_ASSERT(result == 0 ||
		  ((result == PD_CORRUPT || result == PD_NEWER_FORMAT) && err.text[0] != '\0'));
	if (result == 0) {
		check_files(manifest);
		write_again(manifest);
	} else {
		pd_backup_manifest_done(manifest);
	}
	return result == 0;
}

/* As a differential backup that goes on from this one does. */
static void take_over_log(const struct pd_catalog *catalog, const struct pd_backup_manifest *last)
{
	const struct pd_backup_manifest *full = pd_catalog_full_before(catalog, last);
	struct pd_backup_manifest log;
	struct pd_error err = { 0 };
	int result;

	if (full == NULL)
		return;
	result = pd_catalog_log(catalog, full, last, &log, &err);
	PD_ASSERT(result == 0 || err.text[0] != '\0');
	if (result == 0)
		check_files(&log);
	pd_backup_manifest_done(&log);
}

static void plan_all(const struct pd_catalog *catalog, const struct pd_backup_wish *wish)
{
	for (size_t i = 0; i < catalog->count; i++) {
		struct pd_backup_manifest plan;
		struct pd_backup_reach reach;
		struct pd_error err = { 0 };
		int result = pd_catalog_reach(catalog, &catalog->items[i], &reach, &err);

		PD_ASSERT(result == 0 ? reach.oldest != NULL : err.text[0] != '\0');
		result = pd_catalog_plan(catalog, &catalog->items[i], wish, &plan, &err);
		PD_ASSERT(result == 0 || err.text[0] != '\0');
		if (result == 0)
			check_files(&plan);
		pd_backup_manifest_done(&plan);
		take_over_log(catalog, &catalog->items[i]);
	}
}

static void manifests(struct input *input)
{
	struct pd_backup_manifest items[MANIFESTS_MAX], some[MANIFESTS_MAX];
	struct pd_catalog catalog = { .items = items }, actors = { .items = some };
	struct pd_backup_wish wish = { 0 };
	struct pd_retention_rules rules = { 0 };
	unsigned *why;
	bool sealed;

	wish.lsn = take_number(input, 2);
	wish.time_us = take_number(input, 2);
	rules.keep = take_byte(input) % 4;
	rules.age_us = take_number(input, 2);
	for (unsigned i = 0; i < PD_RETENTION_PERIOD_COUNT; i++)
		rules.periods[i] = rules.age_us >> 2 * i & 3;
	sealed = take_byte(input) % 8 != 0;
	while (catalog.count + actors.count < MANIFESTS_MAX && input->size > 0) {
		const uint8_t *end = memmem(input->data, input->size, "\n\n", 2);
		size_t size = end != NULL ? (size_t)(end - input->data) + 1 : input->size;
		struct pd_slice lines = take_bytes(input, size);

		(void)take_byte(input);
		/* They are in folders of their own, so that no catalog has both. */
		if (!read_manifest(lines, sealed, &items[catalog.count]))
			continue;
		if (items[catalog.count].kind == PD_BACKUP_ACTORS)
			some[actors.count++] = items[catalog.count];
		else
			catalog.count++;
	}
	plan_all(&catalog, &wish);
	why = pd_retention_judge(&catalog, &rules, 1u << 30);
	PD_ASSERT(why != NULL);
	pd_free(why);
	why = pd_retention_judge_actors(&actors, &rules, 1u << 30);
	PD_ASSERT(why != NULL);
	pd_free(why);
	for (size_t i = 0; i < catalog.count; i++)
		pd_backup_manifest_done(&items[i]);
	for (size_t i = 0; i < actors.count; i++)
		pd_backup_manifest_done(&some[i]);
}

/* ---- what a repository says of itself ---- */

static void put_file(struct pd_os *os, const char *path, struct pd_slice content)
{
	struct pd_os_file *file;

	PD_ASSERT(pd_os_open(os, path, PD_OS_WRITE | PD_OS_CREATE, &file, NULL) == 0);
	PD_ASSERT(pd_os_write(file, content.data, content.size, 0, NULL) == 0);
	pd_os_close(file);
}

/* What comes up to an empty line, with the checksum that it should have. */
static struct pd_slice take_text(struct input *input, bool sealed, struct pd_buffer *text)
{
	const uint8_t *end = memmem(input->data, input->size, "\n\n", 2);
	struct pd_slice lines = take_bytes(input,
					   end != NULL ? (size_t)(end - input->data) + 1 : input->size);

	(void)take_byte(input);
	pd_buffer_clear(text);
	PD_ASSERT(pd_buffer_append_slice(text, lines) == 0);
	if (sealed)
		PD_ASSERT(pd_buffer_printf(text, "crc %08x\n", pd_crc32c(0, lines.data, lines.size)) == 0);
	return pd_buffer_slice(text);
}

/* What makes sense is written as it was read. */
static void check_slot(struct pd_slice text)
{
	static const uint8_t id[PD_REPOSITORY_ID_SIZE] = { 0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
							   0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff };
	struct pd_key_slot slot, again;
	struct pd_buffer once;

	if (pd_key_slot_parse(text, pd_slice(id, sizeof id), &slot) != 0)
		return;
	pd_buffer_init(&once, PD_KEY_SLOT_TEXT_MAX);
	PD_ASSERT(pd_key_slot_format(&slot, pd_slice(id, sizeof id), &once) == 0);
	PD_ASSERT(pd_key_slot_parse(pd_buffer_slice(&once), pd_slice(id, sizeof id), &again) == 0);
	PD_ASSERT(memcmp(again.wrapped, slot.wrapped, sizeof slot.wrapped) == 0 &&
		  again.number == slot.number && again.recipe.kind == slot.recipe.kind);
	pd_buffer_done(&once);
}

static void repositories(struct input *input)
{
	struct pd_repository_place place = PD_REPOSITORY_IN("/vault");
	bool sealed = take_byte(input) % 8 != 0;
	bool by_file = take_byte(input) % 2 == 0;
	struct pd_repository *repository = NULL;
	struct pd_os *os = machine();
	struct pd_error err = { 0 };
	struct pd_buffer text;
	struct pd_key_record record;
	int result;

	pd_buffer_init(&text, 2 * TEXT_MAX);
	PD_ASSERT(pd_os_mkdir(os, "/vault", NULL) == 0);
	put_file(os, "/vault/repository", take_text(input, sealed, &text));
	PD_ASSERT(pd_os_mkdir(os, "/vault/key", NULL) == 0);
	for (unsigned n = 0; n < 4 && input->size > 0; n++) {
		static const char *const names[] = { "/vault/key/000001-1", "/vault/key/000001-2",
						     "/vault/key/000002-1", "/vault/key/first-retired" };

		put_file(os, names[n], take_text(input, sealed, &text));
		check_slot(pd_buffer_slice(&text));
	}
	put_file(os, "/key", pd_slice_string("0123456789abcdef0123456789abcdef"));
	place.key_file = by_file ? "/key" : NULL;
	result = pd_repository_open(os, &place, &repository, &err);
	if (result == 0) {
		PD_ASSERT((repository->key.kind == PD_KEY_NONE) ==
				  (repository->record.recipe.kind == PD_KEY_NONE) &&
			  (repository->key.kind == PD_KEY_NONE || by_file));
		pd_buffer_clear(&text);
		PD_ASSERT(pd_key_record_format(&repository->record, &text) == 0);
		PD_ASSERT(pd_key_record_parse(pd_buffer_slice(&text), &record));
		PD_ASSERT(record.recipe.kind == repository->record.recipe.kind);
	} else {
		PD_ASSERT(result == PD_CORRUPT || result == PD_NEWER_FORMAT || result == PD_INVALID ||
			  result == PD_PERMISSION);
		PD_ASSERT(err.text[0] != '\0');
	}
	pd_repository_free(repository);
	pd_buffer_done(&text);
	pd_os_free(os);
}

/* ---- objects ---- */

static struct pd_repository *open_one(struct pd_os *os, bool encrypted)
{
	static const uint8_t cluster[PD_CLUSTER_ID_SIZE] = { 7 };
	struct pd_repository_place place = PD_REPOSITORY_IN("/vault");
	struct pd_repository *repository;

	put_file(os, "/key", pd_slice_string("0123456789abcdef0123456789abcdef"));
	place.key_file = encrypted ? "/key" : NULL;
	PD_ASSERT(pd_repository_open_for(os, &place, cluster, &repository, NULL) == 0);
	return repository;
}

static void put_sum_right(struct pd_buffer *object)
{
	if (object->size >= PD_BOX_HEAD_SIZE)
		pd_store_u32(object->data + 16,
			     pd_crc32c(pd_crc32c(0, object->data, 16), object->data + PD_BOX_HEAD_SIZE,
				       object->size - PD_BOX_HEAD_SIZE));
}

/* The body as it comes, with a head that agrees; sealed where the repository is. */
static void wrap(const struct pd_repository *repository, struct pd_slice body, uint8_t codec, size_t size,
		 struct pd_buffer *object)
{
	uint8_t head[PD_BOX_HEAD_SIZE] = { 'P', 'D', 'B', 'P', 1, codec };
	static const uint8_t nothing[PD_CIPHER_TAG_SIZE];
	bool sealed = repository->key.kind != PD_KEY_NONE;

	head[6] = sealed;
	pd_store_u32(head, 0x50424450u);
	pd_store_u32(head + 8, (uint32_t)size);
	pd_store_u32(head + 12, (uint32_t)(body.size + (sealed ? PD_KEY_SEAL_SIZE : 0)));
	pd_buffer_clear(object);
	PD_ASSERT(pd_buffer_append(object, head, sizeof head) == 0);
	if (sealed)
		PD_ASSERT(pd_buffer_append(object, nothing, PD_CIPHER_NONCE_SIZE) == 0);
	PD_ASSERT(pd_buffer_append_slice(object, body) == 0);
	if (sealed) {
		PD_ASSERT(pd_buffer_append(object, nothing, PD_CIPHER_TAG_SIZE) == 0);
		PD_ASSERT(pd_key_seal(&repository->key, repository->os, NAME, pd_slice(object->data, 16),
				      object->data + sizeof head, object->size - sizeof head) == 0);
	}
	put_sum_right(object);
}

/* What can be read is `size` bytes; what goes in comes out again. */
static void objects(struct input *input)
{
	uint8_t way = take_byte(input);
	bool encrypted = way % 2 != 0, wrapped = way / 2 % 2 != 0;
	uint8_t codec = take_byte(input) % 2;
	size_t size = (size_t)take_number(input, 3) % (TEXT_MAX * 4);
	struct pd_os *os = machine();
	struct pd_repository *repository = open_one(os, encrypted);
	struct pd_slice body = take_bytes(input, input->size), content, slices[PD_BOX_SLICES];
	struct pd_error err = { 0 };
	uint8_t *copy = copy_bytes(body);
	int result;

	body.data = copy;
	pd_buffer_clear(&repository->object);
	if (wrapped) {
		wrap(repository, body, codec, size, &repository->object);
	} else {
		PD_ASSERT(pd_buffer_append_slice(&repository->object, body) == 0);
		put_sum_right(&repository->object);
	}
	result = pd_box_unpack(repository, NAME, wrapped ? size : PD_BOX_ANY_SIZE, TEXT_MAX * 4, &content,
			       &err);
	if (result == 0) {
		PD_ASSERT(content.size <= TEXT_MAX * 4 && (!wrapped || content.size == size));
		PD_ASSERT(!encrypted || wrapped); /* nobody has guessed a tag */
	} else {
		PD_ASSERT((result == PD_CORRUPT || result == PD_NEWER_FORMAT) &&
			  strstr(err.text, NAME) != NULL);
	}
	PD_ASSERT(pd_box_pack(repository, NAME, body, slices, NULL) == 0);
	PD_ASSERT(pd_buffer_append_slice(&repository->object, slices[1]) == 0);
	PD_ASSERT(pd_box_unpack(repository, NAME, body.size, TEXT_MAX * 4, &content, NULL) == 0);
	PD_ASSERT(pd_slice_equal(content, body));
	free(copy);
	pd_repository_free(repository);
	pd_os_free(os);
}

/* ---- actors ---- */

static void add_stretch(struct pd_repository *repository, struct pd_backup_manifest *manifest,
			enum pd_backup_part part, struct pd_slice content)
{
	struct pd_piece_stored stored;
	struct pd_backup_file *file;
	struct pd_piece piece;

	if (content.size == 0)
		return;
	PD_ASSERT(pd_backup_add_file(manifest, part, pd_slice(NULL, 0), &file) == 0);
	file->size = content.size;
	PD_ASSERT(pd_piece_put(repository, content, &piece, &stored, NULL) == 0);
	PD_ASSERT(pd_object_flush(repository->store, NULL) == 0);
	PD_ASSERT(pd_backup_add_piece(manifest, &piece) == 0);
}

struct given {
	uint64_t bytes;
	bool ended;
};

static int take_lines(void *context, struct pd_slice lines, struct pd_error *err)
{
	struct given *given = context;

	(void)err;
	PD_ASSERT(lines.size > 0);
	given->bytes += lines.size;
	given->ended = memmem(lines.data, lines.size, "{\"end\":true", 11) == lines.data;
	return 0;
}

/* An index and lines that somebody has put there, with names that are right: an index in the first text, then up to two stretches of lines. */
static void actors(struct input *input)
{
	struct pd_os *os = machine();
	struct pd_repository *repository = open_one(os, take_byte(input) % 8 == 0);
	struct pd_backup_manifest manifest;
	const struct pd_backup_actor *actor;
	struct pd_backup_actors *reader = NULL;
	struct pd_error err = { 0 };
	struct pd_buffer text;
	int result;

	pd_backup_manifest_init(&manifest);
	pd_buffer_init(&text, 2 * TEXT_MAX);
	manifest.kind = PD_BACKUP_ACTORS;
	manifest.end = (struct pd_backup_moment){ 1, 2, 3 };
	manifest.actors = take_byte(input) % 4;
	manifest.keys = take_byte(input);
	repository->pieces = PD_PIECES_OF_ACTORS;
	add_stretch(repository, &manifest, PD_BACKUP_INDEX, take_text(input, false, &text));
	add_stretch(repository, &manifest, PD_BACKUP_LINES, take_text(input, false, &text));
	add_stretch(repository, &manifest, PD_BACKUP_LINES, take_text(input, false, &text));
	result = pd_backup_actors_open(repository, &manifest, NULL, &reader, &err);
	PD_ASSERT(result == 0 || (result == PD_CORRUPT && err.text[0] != '\0'));
	for (unsigned n = 0; result == 0 && (actor = pd_backup_actors_next(reader)) != NULL; n++) {
		struct given given = { 0 };
		int read = pd_backup_actors_read(reader, actor, take_lines, &given, &err), checked;

		PD_ASSERT(n < manifest.actors);
		PD_ASSERT(read == 0 ? given.ended : read == PD_CORRUPT);
		PD_ASSERT((read == 0) ==
			  (given.bytes == actor->size)); /* the last line only where all is well */
		checked = pd_backup_actors_check(reader, actor, &err);
		PD_ASSERT(checked == 0 || err.text[0] != '\0');
		PD_ASSERT(checked != 0 || read == 0);
	}
	pd_backup_actors_close(reader);
	pd_backup_manifest_done(&manifest);
	pd_buffer_done(&text);
	pd_repository_free(repository);
	pd_os_free(os);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };

	if (size > TEXT_MAX)
		return 0;
	switch (take_byte(&input) % 5) {
	case 0:
		repositories(&input);
		break;
	case 1:
		objects(&input);
		break;
	case 4:
		actors(&input);
		break;
	default:
		manifests(&input);
	}
	return 0;
}
