#include "backup/repository.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "backup/box.h"
#include "backup/keyring.h"
#include "backup/scan.h"
#include "base/crc32c.h"
#include "base/memory.h"

#define OBJECT_NAME   "repository"
#define TEXT_MAX      4096u
#define WITHOUT_SLOTS 1                         /* the format that all who know repositories can read */
#define SPARE         ((size_t)4 * 1024 * 1024) /* what compressing may take more than there was, and head and seal */

static int no_memory(struct pd_error *err)
{
	return pd_error_set(err, PD_NO_MEMORY, "out of memory while opening a repository");
}

int pd_backup_step(const struct pd_backup_watch *watch, uint64_t done_bytes, uint64_t total_bytes,
		   struct pd_error *err)
{
	if (watch == NULL || watch->go_on == NULL || watch->go_on(watch->context, done_bytes, total_bytes))
		return 0;
	return pd_error_set(err, PD_CANCELLED, "cancelled");
}

const char *pd_repository_address(const struct pd_repository *repository)
{
	return pd_object_store_address(repository->store);
}

/* ---- what it says of itself ---- */

static int parse(struct pd_repository *repository, struct pd_slice text, struct pd_error *err)
{
	struct pd_scan scan;
	uint64_t version;
	int64_t created_us;

	if (!pd_scan_take_crc(&text))
		return pd_error_set(err, PD_CORRUPT,
				    "%s/" OBJECT_NAME
				    " is damaged: put it back from a copy of the repository",
				    pd_repository_address(repository));
	scan = (struct pd_scan){ text, false };
	version = pd_scan_number(&scan, "perdure-repository");
	if (!scan.bad && version > PD_REPOSITORY_FORMAT_VERSION)
		return pd_error_set(err, PD_NEWER_FORMAT,
				    "the repository %s has format %" PRIu64
				    ", this build knows up to %d: use a newer Perdure",
				    pd_repository_address(repository), version, PD_REPOSITORY_FORMAT_VERSION);
	if (version == 0 || !pd_scan_hex(pd_scan_line(&scan, "id"), repository->id, sizeof repository->id) ||
	    !pd_scan_hex(pd_scan_line(&scan, "cluster"), repository->cluster_id,
			 sizeof repository->cluster_id) ||
	    !pd_slice_to_int64(pd_scan_line(&scan, "created_us"), &created_us) ||
	    !pd_key_record_parse(pd_scan_line(&scan, "key"), &repository->record))
		return pd_error_set(err, PD_CORRUPT, "%s/" OBJECT_NAME " does not make sense",
				    pd_repository_address(repository));
	return 0;
}

static int read_self(struct pd_repository *repository, struct pd_error *err)
{
	struct pd_error why;
	int result;

	result = pd_repository_read(repository, OBJECT_NAME, PD_OBJECT_SIZE_UNKNOWN, TEXT_MAX, &why);
	if (result == PD_NOT_FOUND)
		return pd_error_set(err, result,
				    "%s is no repository of backups; 'perdure backup full' makes one",
				    pd_repository_address(repository));
	if (result != 0 && result != PD_TOO_LARGE)
		return pd_error_set(err, result, "%s", why.text);
	/* What is too large is damaged: nothing of it was kept. */
	result = parse(repository, pd_buffer_slice(&repository->object), err);
	if (result != 0)
		return result;
	return pd_keyring_take(repository, err);
}

static int found_something(void *context, const struct pd_object_entry *entry, struct pd_error *err)
{
	const struct pd_repository *repository = context;
	uint32_t number;
	unsigned copy;

	/* Somebody who died, or is about to put the last of it, may have put a key. */
	if (pd_keyring_read_name(entry->name, &number, &copy))
		return 0;
	return pd_error_set(err, PD_INVALID,
			    "%s is no repository of backups, and not empty ('%.100s' is in it): name "
			    "an empty place, or a directory that is not there",
			    pd_repository_address(repository), entry->name);
}

static int format(const struct pd_repository *repository, const uint8_t cluster_id[PD_CLUSTER_ID_SIZE],
		  struct pd_buffer *text)
{
	char id[PD_REPOSITORY_ID_TEXT], cluster[2 * PD_CLUSTER_ID_SIZE + 1];
	int result;

	pd_scan_format_hex(repository->id, sizeof repository->id, id);
	pd_scan_format_hex(cluster_id, PD_CLUSTER_ID_SIZE, cluster);
	result = pd_buffer_printf(
		text, "perdure-repository %d\nid %s\ncluster %s\ncreated_us %" PRIu64 "\nkey ",
		repository->record.recipe.kind == PD_KEY_WRAPPED ? PD_REPOSITORY_FORMAT_VERSION
								 : WITHOUT_SLOTS,
		id, cluster, pd_os_real_us(repository->os));
	if (result == 0)
		result = pd_key_record_format(&repository->record, text);
	if (result == 0)
		result = pd_buffer_printf(text, "\n");
	return result == 0 ? pd_buffer_printf(text, "crc %08x\n", pd_crc32c(0, text->data, text->size))
			   : result;
}

/* Only one of those who do it at the same time can; the others take what is there. */
static int found_it(struct pd_repository *repository, const uint8_t cluster_id[PD_CLUSTER_ID_SIZE],
		    struct pd_error *err)
{
	struct pd_buffer text;
	int result = pd_repository_each(repository, "", found_something, repository, err);

	if (result != 0)
		return result;
	pd_os_random(repository->os, repository->id, sizeof repository->id);
	result = pd_keyring_begin(repository, err);
	if (result != 0)
		return result;
	pd_buffer_init(&text, TEXT_MAX);
	if (format(repository, cluster_id, &text) != 0)
		result = no_memory(err);
	if (result == 0)
		result = pd_object_put_bytes(repository->store, OBJECT_NAME, pd_buffer_slice(&text), NULL,
					     err);
	pd_buffer_done(&text);
	return result == PD_EXISTS ? 0 : result;
}

/* ---- opening ---- */

static int new_repository(struct pd_os *os, const struct pd_repository_place *place,
			  struct pd_repository **ret_repository, struct pd_error *err)
{
	struct pd_repository *repository = pd_calloc(1, sizeof *repository);
	int result;

	if (repository == NULL)
		return no_memory(err);
	repository->os = os;
	repository->pieces = PD_PIECES_OF_FILES;
	pd_buffer_init(&repository->object, PD_BACKUP_MANIFEST_MAX + SPARE);
	pd_buffer_init(&repository->packed, PD_BACKUP_MANIFEST_MAX + SPARE);
	result = pd_repository_place_copy(place, &repository->place);
	result = result != 0 ? no_memory(err)
			     : pd_object_place_open(os, &repository->place.store, "repository",
						    &repository->store, err);
	if (result == 0)
		*ret_repository = repository;
	else
		pd_repository_free(repository);
	return result;
}

int pd_repository_open(struct pd_os *os, const struct pd_repository_place *place,
		       struct pd_repository **ret_repository, struct pd_error *err)
{
	struct pd_repository *repository = NULL;
	int result = new_repository(os, place, &repository, err);

	if (result != 0)
		return result;
	result = read_self(repository, err);
	if (result == 0)
		*ret_repository = repository;
	else
		pd_repository_free(repository);
	return result;
}

int pd_repository_open_names(struct pd_os *os, const struct pd_repository_place *place,
			     struct pd_repository **ret_repository, struct pd_error *err)
{
	return new_repository(os, place, ret_repository, err);
}

int pd_repository_open_again(const struct pd_repository *repository, struct pd_repository **ret_again,
			     struct pd_error *err)
{
	int result = new_repository(repository->os, &repository->place, ret_again, err);

	if (result != 0)
		return result;
	memcpy((*ret_again)->id, repository->id, sizeof repository->id);
	memcpy((*ret_again)->cluster_id, repository->cluster_id, sizeof repository->cluster_id);
	(*ret_again)->record = repository->record;
	(*ret_again)->pieces = repository->pieces;
	(*ret_again)->key = repository->key;
	return 0;
}

/* Its name is durable before anything is put in it, whoever made it: one that died may not have come so far. */
static int make_directory(struct pd_os *os, const char *path, struct pd_error *err)
{
	size_t size = strlen(path);
	const char *slash;
	char *name, *parent;
	int result;

	while (size > 1 && path[size - 1] == '/')
		size--;
	name = pd_asprintf("%.*s", (int)size, path);
	slash = name == NULL ? NULL : strrchr(name, '/');
	parent = slash == NULL   ? pd_strdup(".")
		 : slash == name ? pd_strdup("/")
				 : pd_asprintf("%.*s", (int)(slash - name), name);
	result = name == NULL || parent == NULL ? no_memory(err) : pd_os_mkdir(os, name, err);
	if (result == 0 || result == PD_EXISTS) {
		result = pd_os_sync_directory(os, parent, err);
		if (result == PD_PERMISSION) /* then it was made for us */
			result = 0;
	}
	pd_free(name);
	pd_free(parent);
	return result;
}

int pd_repository_open_for(struct pd_os *os, const struct pd_repository_place *place,
			   const uint8_t cluster_id[PD_CLUSTER_ID_SIZE],
			   struct pd_repository **ret_repository, struct pd_error *err)
{
	struct pd_repository *repository = NULL;
	struct pd_error why = { 0 };
	int result = place->is_there || place->is_known || pd_repository_place_is_remote(place)
			     ? 0
			     : make_directory(os, place->store.address, err);

	if (result == 0)
		result = new_repository(os, place, &repository, err);
	if (result != 0)
		return result;
	result = read_self(repository, &why);
	if (result == PD_NOT_FOUND && place->is_known) {
		result = pd_error_set(
			&why, result,
			"there was a repository of backups at %.300s, and there is none any more: is its "
			"disk mounted? To begin a new one there, 'perdure backup full --new-repository'",
			place->store.address);
	} else if (result == PD_NOT_FOUND) {
		result = found_it(repository, cluster_id, &why);
		if (result == 0)
			result = read_self(repository, &why);
	}
	if (result == 0 && memcmp(repository->cluster_id, cluster_id, PD_CLUSTER_ID_SIZE) != 0)
		result = pd_error_set(
			&why, PD_CONFLICT,
			"the repository %s has backups of another cluster: each has one of its own",
			place->store.address);
	if (result == 0) {
		*ret_repository = repository;
		return 0;
	}
	pd_repository_free(repository);
	return pd_error_set(err, result, "%s", why.text);
}

void pd_repository_free(struct pd_repository *repository)
{
	if (repository == NULL)
		return;
	pd_key_wipe(&repository->key);
	pd_object_store_free(repository->store);
	pd_repository_place_done(&repository->place);
	pd_compressor_free(repository->compressor);
	pd_buffer_done(&repository->object);
	pd_buffer_done(&repository->packed);
	pd_free(repository);
}

/* ---- what is in it ---- */

struct taking {
	struct pd_buffer *bytes;
	size_t most;
};

static int take_bytes(void *context, const void *data, size_t size, struct pd_error *err)
{
	const struct taking *taking = context;
	int result = PD_TOO_LARGE;

	if (size <= taking->most - taking->bytes->size)
		result = pd_buffer_append(taking->bytes, data, size);
	return result == 0 ? 0 : pd_error_set(err, result, "%s", pd_code_text(result));
}

int pd_repository_read(struct pd_repository *repository, const char *name, uint64_t size, size_t most,
		       struct pd_error *err)
{
	struct taking taking = { &repository->object, most };
	const struct pd_object_sink sink = { take_bytes, &taking };
	int result;

	pd_buffer_clear(&repository->object);
	result = pd_object_get(repository->store, name, 0, size, NULL, &sink, NULL, err);
	if (result != 0)
		pd_buffer_clear(&repository->object);
	return result;
}

int pd_repository_each(struct pd_repository *repository, const char *prefix, pd_repository_visit *visit,
		       void *context, struct pd_error *err)
{
	char after[PD_OBJECT_NAME_MAX + 1] = "";
	bool more = true;
	int result = 0;

	while (result == 0 && more) {
		struct pd_object_page page;

		result = pd_object_list(repository->store, prefix, after, PD_OBJECT_PAGE_MAX, &page, err);
		if (result != 0)
			return result;
		for (size_t i = 0; i < page.count && result == 0; i++)
			result = visit(context, &page.entries[i], err);
		more = page.more;
		if (page.count > 0)
			(void)snprintf(after, sizeof after, "%s", page.entries[page.count - 1].name);
		pd_object_page_done(&page);
	}
	return result;
}
