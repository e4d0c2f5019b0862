/* Manifests: what they are made of, writing them, and finding them. */
#include "backup/manifest.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "backup/box.h"
#include "backup/scan.h"
#include "base/memory.h"

const char *pd_backup_kind_name(enum pd_backup_kind kind)
{
	static const char *const names[] = { "full", "incremental", "differential", "log", "actors" };

	return names[kind];
}

/* "20261121T014500Z-actors" */
bool pd_backup_is_of_actors(const char *id)
{
	const char *word = strrchr(id, '-');

	return word != NULL && strcmp(word + 1, pd_backup_kind_name(PD_BACKUP_ACTORS)) == 0;
}

const char *pd_backup_prefix(enum pd_backup_kind kind)
{
	return kind == PD_BACKUP_ACTORS ? PD_BACKUP_ACTORS_PREFIX : PD_BACKUP_PREFIX;
}

void pd_backup_manifest_init(struct pd_backup_manifest *manifest)
{
	*manifest = (struct pd_backup_manifest){ 0 };
}

void pd_backup_manifest_done(struct pd_backup_manifest *manifest)
{
	for (size_t i = 0; i < manifest->file_count; i++)
		pd_free(manifest->files[i].name);
	pd_free(manifest->files);
	pd_free(manifest->pieces);
	pd_free(manifest->tenant);
	pd_free(manifest->match);
	pd_backup_manifest_init(manifest);
}

uint64_t pd_backup_manifest_bytes(const struct pd_backup_manifest *manifest)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < manifest->file_count; i++)
		bytes += manifest->files[i].size;
	return bytes;
}

uint64_t pd_backup_manifest_stored(const struct pd_backup_manifest *manifest)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < manifest->file_count; i++)
		bytes += manifest->files[i].stored;
	return bytes;
}

size_t pd_backup_piece_size(const struct pd_backup_file *file, size_t n)
{
	uint64_t left = file->size - (uint64_t)n * PD_PIECE_SIZE;

	return left < PD_PIECE_SIZE ? (size_t)left : PD_PIECE_SIZE;
}

int pd_backup_add_piece(struct pd_backup_manifest *manifest, const struct pd_piece *piece)
{
	struct pd_piece *pieces = pd_grow(manifest->pieces, manifest->piece_count, &manifest->piece_capacity,
					  sizeof *pieces, 64);

	if (pieces == NULL)
		return PD_NO_MEMORY;
	manifest->pieces = pieces;
	pieces[manifest->piece_count++] = *piece;
	manifest->files[manifest->file_count - 1].piece_count++;
	return 0;
}

int pd_backup_add_file(struct pd_backup_manifest *manifest, enum pd_backup_part part, struct pd_slice name,
		       struct pd_backup_file **ret_file)
{
	struct pd_backup_file *files = pd_grow(manifest->files, manifest->file_count,
					       &manifest->file_capacity, sizeof *files, 64);
	char *copy = NULL;

	if (files == NULL)
		return PD_NO_MEMORY;
	manifest->files = files;
	if (part != PD_BACKUP_INDEX && part != PD_BACKUP_LINES) {
		copy = pd_malloc(name.size + 1);
		if (copy == NULL)
			return PD_NO_MEMORY;
		memcpy(copy, name.data, name.size);
		copy[name.size] = '\0';
	}
	files[manifest->file_count] = (struct pd_backup_file){
		.part = part, .name = copy, .hash = "-", .first_piece = manifest->piece_count
	};
	*ret_file = &files[manifest->file_count++];
	return 0;
}

/* ---- names ---- */

static bool take_digits(struct pd_slice *rest, size_t count)
{
	if (rest->size < count)
		return false;
	for (size_t i = 0; i < count; i++)
		if (rest->data[i] < '0' || rest->data[i] > '9')
			return false;
	*rest = pd_slice(rest->data + count, rest->size - count);
	return true;
}

static bool take_text(struct pd_slice *rest, const char *text)
{
	struct pd_slice wanted = pd_slice_string(text);

	if (!pd_slice_starts_with(*rest, wanted))
		return false;
	*rest = pd_slice(rest->data + wanted.size, rest->size - wanted.size);
	return true;
}

/* What is written where a manifest says, must never be elsewhere. */
bool pd_backup_name_fits(enum pd_backup_part part, struct pd_slice name)
{
	if (part == PD_BACKUP_LOG_FILE)
		return take_text(&name, "log/") && take_digits(&name, 4) && take_text(&name, "/") &&
		       take_digits(&name, 10) && pd_slice_equal(name, pd_slice_string(".seg"));
	if (part != PD_BACKUP_FILE || !take_text(&name, "store/") || !take_digits(&name, 4) ||
	    !take_text(&name, "/checkpoint-") || !take_digits(&name, 20) || !take_text(&name, "/"))
		return false;
	if (pd_slice_equal(name, pd_slice_string("CHECKPOINT")))
		return true;
	if (!take_text(&name, "levels/") || name.size == 0 || name.size > 255 || name.data[0] == '.')
		return false;
	for (size_t i = 0; i < name.size; i++)
		if (name.data[i] <= ' ' || name.data[i] == '/' || name.data[i] >= 0x7f)
			return false;
	return true;
}

bool pd_backup_id_fits(const char *id)
{
	size_t size = strlen(id);

	if (size == 0 || size >= PD_BACKUP_ID_MAX || id[0] == '-' || id[0] == '.')
		return false;
	for (size_t i = 0; i < size; i++)
		if (!((id[i] >= '0' && id[i] <= '9') || (id[i] >= 'a' && id[i] <= 'z') ||
		      (id[i] >= 'A' && id[i] <= 'Z') || id[i] == '-' || id[i] == '_'))
			return false;
	return true;
}

/* ---- writing ---- */

static int format_moment(struct pd_buffer *text, const char *word, const struct pd_backup_moment *moment)
{
	return pd_buffer_printf(text, "%s %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", word, moment->epoch,
				moment->lsn, moment->time_us);
}

/* "*": all; in a pattern that is said it is "%2A". */
static int format_selection(const struct pd_backup_manifest *manifest, struct pd_buffer *text)
{
	int result = pd_buffer_printf(text, "tenant ");

	if (result == 0)
		result = pd_scan_format_word(pd_slice_string(manifest->tenant), text);
	if (result == 0)
		result = pd_buffer_printf(text, manifest->match == NULL ? "\nmatch *" : "\nmatch ");
	if (result == 0 && manifest->match != NULL)
		result = pd_scan_format_word(pd_slice_string(manifest->match), text);
	return result == 0 ? pd_buffer_printf(text, "\n") : result;
}

static int format_head(const struct pd_backup_manifest *manifest, struct pd_buffer *text)
{
	char repository[PD_REPOSITORY_ID_TEXT], cluster[2 * PD_CLUSTER_ID_SIZE + 1];
	int result;

	pd_scan_format_hex(manifest->repository_id, sizeof manifest->repository_id, repository);
	pd_scan_format_hex(manifest->cluster_id, sizeof manifest->cluster_id, cluster);
	result = pd_buffer_printf(
		text,
		"perdure-backup %d\nid %s\nkind %s\nparent %s\nrepository %s\ncluster %s\n"
		"shard %" PRIu32 "\nlease %" PRIu64 "\ntool %s\nbegun_us %" PRIu64 "\nended_us %" PRIu64 "\n",
		manifest->kind == PD_BACKUP_ACTORS ? PD_BACKUP_FORMAT_VERSION : 1, manifest->id,
		pd_backup_kind_name(manifest->kind), manifest->parent[0] != '\0' ? manifest->parent : "-",
		repository, cluster, manifest->shard, manifest->lease, manifest->tool, manifest->begun_us,
		manifest->ended_us);
	if (result == 0)
		result = format_moment(text, "base", &manifest->base);
	if (result == 0)
		result = format_moment(text, "end", &manifest->end);
	if (result == 0)
		result = pd_buffer_printf(text,
					  "state %s\nactors %" PRIu64 "\nkeys %" PRIu64 "\nbytes %" PRIu64
					  "\nsent %" PRIu64 "\n",
					  manifest->has_state ? manifest->state : "-", manifest->actors,
					  manifest->keys, manifest->bytes, manifest->sent);
	if (result == 0 && manifest->kind == PD_BACKUP_ACTORS)
		result = format_selection(manifest, text);
	return result == 0 ? pd_buffer_printf(text, "files %zu\n", manifest->file_count) : result;
}

static int format_file(const struct pd_backup_manifest *manifest, const struct pd_backup_file *file,
		       struct pd_buffer *text)
{
	char digits[2 * PD_SHA256_SIZE + 1];
	int result = 0;

	switch (file->part) {
	case PD_BACKUP_FILE:
		result = pd_buffer_printf(text, "file %" PRIu64 " %" PRIu64 " %zu %s %s\n", file->size,
					  file->stored, file->piece_count, file->hash, file->name);
		break;
	case PD_BACKUP_LOG_FILE:
		result = pd_buffer_printf(
			text, "log %" PRIu64 " %" PRIu64 " %zu %" PRIu64 " %" PRIu64 " %" PRIu64 " %s %s\n",
			file->size, file->stored, file->piece_count, file->epoch, file->first_lsn,
			file->last_lsn, file->sealed ? "sealed" : "open", file->name);
		break;
	case PD_BACKUP_INDEX:
		result = pd_buffer_printf(text, "index %" PRIu64 " %" PRIu64 " %zu -\n", file->size,
					  file->stored, file->piece_count);
		break;
	case PD_BACKUP_LINES:
		result = pd_buffer_printf(text, "lines %" PRIu64 " %" PRIu64 " %zu -\n", file->size,
					  file->stored, file->piece_count);
		break;
	}
	for (size_t i = 0; i < file->piece_count && result == 0; i++) {
		pd_scan_format_hex(manifest->pieces[file->first_piece + i].digest, PD_SHA256_SIZE, digits);
		result = pd_buffer_printf(text, "piece %s\n", digits);
	}
	return result;
}

int pd_backup_manifest_format(const struct pd_backup_manifest *manifest, struct pd_buffer *text)
{
	uint8_t sha256[PD_SHA256_SIZE];
	char digits[2 * PD_SHA256_SIZE + 1];
	int result = format_head(manifest, text);

	for (size_t i = 0; i < manifest->file_count && result == 0; i++)
		result = format_file(manifest, &manifest->files[i], text);
	if (result == 0)
		result = pd_crypto_sha256(pd_buffer_slice(text), sha256);
	if (result != 0)
		return result;
	pd_scan_format_hex(sha256, sizeof sha256, digits);
	return pd_buffer_printf(text, "sha256 %s\n", digits);
}

/* ---- in a repository ---- */

static void name_of(const char *id, char name[PD_BACKUP_ID_MAX + sizeof PD_BACKUP_PREFIX])
{
	enum pd_backup_kind kind = pd_backup_is_of_actors(id) ? PD_BACKUP_ACTORS : PD_BACKUP_FULL;

	(void)snprintf(name, PD_BACKUP_ID_MAX + sizeof PD_BACKUP_PREFIX, "%s%s", pd_backup_prefix(kind), id);
}

/* Text for everybody, or sealed where all is encrypted. */
static int put(struct pd_repository *repository, const char *name, struct pd_slice text, struct pd_error *err)
{
	struct pd_slice slices[PD_BOX_SLICES];
	int result;

	if (repository->key.kind == PD_KEY_NONE)
		return pd_object_put_bytes(repository->store, name, text, NULL, err);
	result = pd_box_pack(repository, name, text, slices, err);
	if (result != 0)
		return result;
	return pd_object_put_slices(repository->store, name, slices, PD_BOX_SLICES, NULL, err);
}

/* *ret_text is valid until the repository is used for anything else. */
static int get(struct pd_repository *repository, const char *name, struct pd_slice *ret_text,
	       struct pd_error *err)
{
	int result = pd_repository_read(repository, name, PD_OBJECT_SIZE_UNKNOWN,
					PD_BACKUP_MANIFEST_MAX + PD_BOX_HEAD_SIZE + PD_KEY_SEAL_SIZE, err);

	*ret_text = pd_buffer_slice(&repository->object);
	if (result != 0 || repository->key.kind == PD_KEY_NONE)
		return result;
	return pd_box_unpack(repository, name, PD_BOX_ANY_SIZE, PD_BACKUP_MANIFEST_MAX, ret_text, err);
}

int pd_backup_manifest_put(struct pd_repository *repository, const struct pd_backup_manifest *manifest,
			   struct pd_error *err)
{
	char name[PD_BACKUP_ID_MAX + sizeof PD_BACKUP_PREFIX];
	struct pd_buffer text;
	int result;

	name_of(manifest->id, name);
	pd_buffer_init(&text, PD_BACKUP_MANIFEST_MAX);
	result = pd_backup_manifest_format(manifest, &text);
	if (result != 0)
		result = pd_error_set(err, result,
				      result == PD_TOO_LARGE
					      ? "the backup has more files than a manifest can name"
					      : "out of memory for a manifest");
	else
		result = put(repository, name, pd_buffer_slice(&text), err);
	pd_buffer_done(&text);
	return result;
}

int pd_backup_manifest_get(struct pd_repository *repository, const char *id,
			   struct pd_backup_manifest *manifest, struct pd_error *err)
{
	char name[PD_BACKUP_ID_MAX + sizeof PD_BACKUP_PREFIX], what[600];
	struct pd_slice text;
	int result;

	if (!pd_backup_id_fits(id))
		return pd_error_set(err, PD_NOT_FOUND,
				    "'%.64s' cannot be a backup's id: 'perdure backup ls' lists them", id);
	name_of(id, name);
	(void)snprintf(what, sizeof what, "the manifest '%s' of the repository %.450s", name,
		       pd_repository_address(repository));
	result = get(repository, name, &text, err);
	if (result == PD_NOT_FOUND)
		result = pd_error_set(err, result,
				      "there is no backup %s in %s: 'perdure backup ls' lists them", id,
				      pd_repository_address(repository));
	else if (result == PD_TOO_LARGE)
		result = pd_error_set(err, PD_CORRUPT, "%s is damaged: it is larger than one can be", what);
	else if (result == 0)
		result = pd_backup_manifest_parse(text, what, manifest, err);
	if (result != 0)
		return result;
	if (strcmp(manifest->id, id) != 0)
		return pd_error_set(err, PD_CORRUPT, "%s is that of backup %s: put its own back", what,
				    manifest->id);
	if (memcmp(manifest->repository_id, repository->id, sizeof repository->id) != 0 ||
	    memcmp(manifest->cluster_id, repository->cluster_id, sizeof repository->cluster_id) != 0)
		return pd_error_set(err, PD_CORRUPT, "%s is of another repository: put its own back", what);
	return 0;
}

struct listing {
	const char *prefix;
	struct pd_os_names *names;
	size_t capacity;
};

static int add_id(void *context, const struct pd_object_entry *entry, struct pd_error *err)
{
	struct listing *listing = context;
	const char *id = entry->name + strlen(listing->prefix);
	char **names = pd_grow(listing->names->names, listing->names->count, &listing->capacity,
			       sizeof *names, 64);

	if (names == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for the list of backups");
	listing->names->names = names;
	names[listing->names->count] = pd_strdup(id);
	if (names[listing->names->count] == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for the list of backups");
	listing->names->count++;
	return 0;
}

static int list(struct pd_repository *repository, const char *prefix, struct pd_os_names *ret_ids,
		struct pd_error *err)
{
	struct listing listing = { .prefix = prefix, .names = ret_ids };
	int result;

	*ret_ids = (struct pd_os_names){ 0 };
	result = pd_repository_each(repository, prefix, add_id, &listing, err);
	if (result != 0)
		pd_os_names_done(ret_ids);
	return result;
}

int pd_backup_list(struct pd_repository *repository, struct pd_os_names *ret_ids, struct pd_error *err)
{
	return list(repository, PD_BACKUP_PREFIX, ret_ids, err);
}

int pd_backup_list_actors(struct pd_repository *repository, struct pd_os_names *ret_ids, struct pd_error *err)
{
	return list(repository, PD_BACKUP_ACTORS_PREFIX, ret_ids, err);
}
