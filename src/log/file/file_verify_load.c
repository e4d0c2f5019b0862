/* The verifier's bytes: a segment in memory, what its sectors are, what its footer says. */
#include <string.h>

#include "base/codec.h"
#include "base/memory.h"
#include "log/file/verify_private.h"
#include "log/mend_private.h"

void *pd_verify_add(struct pd_log_verifier *verifier, struct pd_list *list, size_t item_size)
{
	void *items;
	uint8_t *item;

	items = pd_grow(list->items, list->count, &list->capacity, item_size, 64);
	if (items == NULL) {
		verifier->failed = PD_NO_MEMORY;
		return NULL;
	}
	list->items = items;
	item = (uint8_t *)list->items + list->count++ * item_size;
	memset(item, 0, item_size);
	return item;
}

int pd_verify_need(struct pd_aligned *memory, size_t size)
{
	if (size <= memory->size)
		return 0;
	pd_free(memory->data);
	memory->size = 0;
	memory->data = pd_malloc_aligned(PD_GROUP_ALIGNMENT, size);
	if (memory->data == NULL)
		return PD_NO_MEMORY;
	memory->size = size;
	return 0;
}

/* ---- sectors ---- */

enum pd_sector_state pd_verify_state(const struct pd_log_verifier *verifier, uint64_t sector)
{
	return pd_sector_classify(verifier->data.data + sector * PD_SECTOR_SIZE, &verifier->location, sector,
				  verifier->file->options.cluster_id, verifier->file->options.shard);
}

/* The header's checksum covers its place, so it proves itself, whatever the stamp behind it says. */
bool pd_verify_header_at(const struct pd_log_verifier *verifier, uint64_t sector,
			 struct pd_group_header *ret_header)
{
	return pd_group_header_read(verifier->data.data + sector * PD_SECTOR_SIZE, &verifier->location,
				    sector, ret_header) &&
	       sector + ret_header->sectors <= verifier->sectors;
}

bool pd_verify_mend(const struct pd_log_verifier *verifier, uint64_t sector,
		    struct pd_group_header *ret_header, unsigned *ret_bit)
{
	return pd_group_header_mend(verifier->data.data + sector * PD_SECTOR_SIZE, &verifier->location,
				    sector, ret_header, ret_bit) &&
	       sector + ret_header->sectors <= verifier->sectors;
}

bool pd_verify_unused_but_one_bit(const struct pd_log_verifier *verifier, uint64_t sector)
{
	return pd_sector_unused_but_one_bit(verifier->data.data + sector * PD_SECTOR_SIZE,
					    &verifier->location, sector, verifier->file->options.cluster_id,
					    verifier->file->options.shard);
}

/* ---- the footer ---- */

/* Where the index says the groups are. Kept only if they fill the segment up to the footer. */
static void read_extents(struct pd_log_verifier *verifier, uint64_t footer_sector, uint64_t footer_lsn)
{
	struct pd_slice rest = verifier->index_bytes;
	uint64_t sector = 0, records = 0;
	bool good = true;

	while (good && rest.size > 0) {
		struct pd_extent *extent = pd_verify_add(verifier, &verifier->extents, sizeof *extent);
		uint64_t count, actor;

		good = extent != NULL && pd_varint_take(&rest, &extent->sectors) &&
		       pd_varint_take(&rest, &extent->records) && pd_varint_take(&rest, &count) &&
		       extent->sectors > 0 && extent->sectors <= footer_sector &&
		       extent->records <= footer_lsn;
		if (!good)
			break;
		for (uint64_t i = 1; good && i < count; i++)
			good = pd_varint_take(&rest, &actor);
		extent->sector = sector;
		extent->first_lsn = records;
		sector += extent->sectors;
		records += extent->records;
		good = good && sector <= footer_sector;
	}
	if (!good || sector != footer_sector || records > footer_lsn) {
		verifier->extents.count = 0;
		return;
	}
	verifier->index_end_lsn = footer_lsn;
	for (size_t i = 0; i < verifier->extents.count; i++)
		((struct pd_extent *)verifier->extents.items)[i].first_lsn += footer_lsn - records;
}

/* The footer, wherever it is: it tells what should be elsewhere. */
static int find_index(struct pd_log_verifier *verifier)
{
	verifier->extents.count = 0;
	verifier->index_bytes = pd_slice(NULL, 0);
	for (uint64_t sector = verifier->sectors; sector-- > 1;) {
		const uint8_t *data = verifier->data.data + sector * PD_SECTOR_SIZE;
		struct pd_group_header header;
		size_t size;

		if (pd_load_u32(data) != PD_GROUP_MAGIC || !pd_verify_header_at(verifier, sector, &header) ||
		    header.kind != PD_GROUP_FOOTER)
			continue;
		size = (size_t)header.sectors * PD_SECTOR_SIZE;
		if (pd_verify_need(&verifier->index, size) != 0)
			return PD_NO_MEMORY;
		memcpy(verifier->index.data, data, size);
		if (!pd_group_open(verifier->index.data, &header))
			return 0;
		verifier->index_bytes = pd_slice(verifier->index.data + PD_GROUP_HEADER_SIZE,
						 header.payload_size);
		read_extents(verifier, sector, header.first_lsn);
		return verifier->failed;
	}
	return 0;
}

const struct pd_extent *pd_verify_extent_at(const struct pd_log_verifier *verifier, uint64_t sector)
{
	const struct pd_extent *extents = verifier->extents.items;

	for (size_t low = 0, high = verifier->extents.count; low < high;) {
		size_t middle = low + (high - low) / 2;

		if (sector < extents[middle].sector)
			high = middle;
		else if (sector >= extents[middle].sector + extents[middle].sectors)
			low = middle + 1;
		else
			return &extents[middle];
	}
	return NULL;
}

/* ---- the file ---- */

static int open_segment(const struct pd_log_verifier *verifier, uint32_t number, struct pd_os_file **ret_file,
			struct pd_error *err)
{
	char *path = pd_file_path(verifier->file, number, "seg");
	int result;

	if (path == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory while verifying the log");
	result = pd_os_open(verifier->file->os, path, PD_OS_READ, ret_file, err);
	pd_free(path);
	return result;
}

/* What the first group says, if it is whole: the file may have got it since the directory was listed. */
static int read_head(struct pd_log_verifier *verifier)
{
	const struct pd_extent *extents = verifier->extents.items;
	struct pd_group_header header;
	size_t size;

	verifier->headed = false;
	verifier->first_lsn = verifier->extents.count > 0 ? extents[0].first_lsn : verifier->expected_lsn;
	if (verifier->sectors == 0 || !pd_verify_header_at(verifier, 0, &header) ||
	    header.kind != PD_GROUP_SEGMENT || header.payload_size != sizeof verifier->head)
		return 0;
	size = (size_t)header.sectors * PD_SECTOR_SIZE;
	if (pd_verify_need(&verifier->group, size) != 0)
		return PD_NO_MEMORY;
	memcpy(verifier->group.data, verifier->data.data, size);
	verifier->first_lsn = header.first_lsn;
	verifier->headed = pd_group_open(verifier->group.data, &header);
	memcpy(&verifier->head, verifier->group.data + PD_GROUP_HEADER_SIZE, sizeof verifier->head);
	return 0;
}

int pd_verify_load(struct pd_log_verifier *verifier, const struct pd_segment *segment, struct pd_error *err)
{
	const struct pd_log_options *options = &verifier->file->options;
	struct pd_os_file *file = NULL;
	size_t size = 0;
	int result = pd_verify_need(&verifier->data, segment->size + PD_SECTOR_SIZE);

	if (result != 0)
		return pd_error_set(err, result, "out of memory for a log segment of %llu bytes",
				    (unsigned long long)segment->size);
	result = open_segment(verifier, segment->number, &file, err);
	if (result == 0)
		result = pd_os_read(file, verifier->data.data, segment->size, 0, &size, err);
	pd_os_close(file);
	if (result != 0)
		return result;
	verifier->size = size;
	verifier->sectors = size / PD_SECTOR_SIZE;
	verifier->sector = 0;
	verifier->location.segment = segment->number;
	verifier->location.crc = pd_location_crc(options->cluster_id, options->shard, segment->number);
	verifier->sealed = false;
	verifier->end_accused = false;
	verifier->seen.count = 0;
	pd_buffer_clear(&verifier->seen_actors);
	if (find_index(verifier) != 0 || read_head(verifier) != 0)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for a log segment's index");
	verifier->loaded = true;
	return 0;
}

int pd_verify_changed(struct pd_log_verifier *verifier, uint64_t sector, uint64_t count, struct pd_error *err)
{
	uint64_t offset = sector * PD_SECTOR_SIZE;
	size_t compared = (size_t)count * PD_SECTOR_SIZE, size = 0;
	uint8_t *again = pd_malloc(compared);
	struct pd_os_file *file = NULL;
	bool changed = false;
	int result;

	if (again == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory while verifying the log");
	result = open_segment(verifier, verifier->location.segment, &file, err);
	if (result == PD_NOT_FOUND) { /* trimmed meanwhile: there is nothing newer to compare with */
		pd_free(again);
		return 0;
	}
	if (result == 0)
		result = pd_os_read(file, again, compared, offset, &size, err);
	if (result == 0) {
		changed = size != compared || memcmp(again, verifier->data.data + offset, size) != 0;
		if (changed) {
			result = pd_os_read(file, verifier->data.data + offset,
					    (size_t)(verifier->size - offset), offset, &size, err);
			verifier->size = offset + size;
			verifier->sectors = verifier->size / PD_SECTOR_SIZE;
		}
	}
	pd_os_close(file);
	pd_free(again);
	if (result != 0)
		return result;
	/* A segment that was being written may have got its footer by now. */
	if (changed && find_index(verifier) != 0)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for a log segment's index");
	return changed;
}
