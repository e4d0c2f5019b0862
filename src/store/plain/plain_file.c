/* A sorted file.
 *
 *   head     "PDLEVEL1", number (u64), kind (u32), CRC of these (u32)
 *   block*   CRC (u32) of number, place in the file (u64 both) and the rest of the block; entries (u32); the entries
 *   index    for each block: place, size (u64), CRC, entries, size of the first key, size of the last (u32), first key,
 *            last key
 *   foot     place and size of the index, blocks, entries, deletes (u64), 0 (u32), CRC of number, index and foot (u32)
 *
 * An entry is the size of its key, the size of its value + 1 (0: a delete), both varints, key and value. A range is an entry whose value is its
 * end. Numbers are little-endian, checksums CRC32C. A checksum covers number and place, the index has those of all blocks, and the
 * manifest that of the index: what got where something else belongs is found too. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec.h"
#include "base/crc32c.h"
#include "base/memory.h"
#include "base/plant.h"
#include "store/plain/plain_private.h"

enum {
	HEAD_SIZE = 24,
	BLOCK_HEAD_SIZE = 8,
	BLOCK_TARGET = 4096, /* a block is closed when it has that many bytes */
	INDEX_HEAD_SIZE = 32,
	FOOT_SIZE = 48,
};

#define HEAD_MAGIC "PDLEVEL1"
#define SUFFIX     ".level"
#define DIGITS     10

char *pd_plain_path(const char *directory, uint64_t number)
{
	return pd_asprintf("%s/%0*" PRIu64 SUFFIX, directory, DIGITS, number);
}

uint64_t pd_plain_number(const char *name)
{
	size_t digits = strspn(name, "0123456789");

	if (digits < DIGITS || digits > 19 || strcmp(name + digits, SUFFIX) != 0)
		return 0;
	return strtoull(name, NULL, 10);
}

int pd_plain_no_memory(const char *directory, struct pd_error *err)
{
	return pd_error_set(err, PD_NO_MEMORY, "%s: out of memory", directory);
}

/* What makes a checksum hold at one place of one file only. */
static uint32_t crc_at(uint64_t number, uint64_t offset)
{
	uint8_t place[16];

	pd_store_u64(place, number);
	pd_store_u64(place + 8, offset);
	return pd_crc32c(0, place, sizeof place);
}

static void head_write(uint8_t *head, uint64_t number, enum pd_plain_kind kind)
{
	memcpy(head, HEAD_MAGIC, 8);
	pd_store_u64(head + 8, number);
	pd_store_u32(head + 16, (uint32_t)kind);
	pd_store_u32(head + 20, pd_crc32c(0, head, 20));
}

static uint32_t index_crc(uint64_t number, const uint8_t *index, size_t size)
{
	/* The foot without its own checksum comes right behind the index. */
	return pd_crc32c(crc_at(number, UINT64_MAX), index, size + FOOT_SIZE - 4);
}

/* ---- entries ---- */

const uint8_t *pd_plain_entry_read(const uint8_t *at, const uint8_t *end, struct pd_plain_entry *ret_entry)
{
	uint64_t key_size, value_size;
	size_t used = pd_varint_get(at, (size_t)(end - at), &key_size);

	if (used == 0)
		return NULL;
	at += used;
	used = pd_varint_get(at, (size_t)(end - at), &value_size);
	if (used == 0)
		return NULL;
	at += used;
	ret_entry->is_delete = value_size == 0;
	value_size -= value_size > 0;
	if (key_size > (size_t)(end - at) || value_size > (size_t)(end - at) - key_size)
		return NULL;
	ret_entry->key = pd_slice(at, key_size);
	ret_entry->value = pd_slice(at + key_size, value_size);
	return at + key_size + value_size;
}

/* ---- making one ---- */

void pd_plain_builder_init(struct pd_plain_builder *builder, enum pd_plain_kind kind, uint64_t number)
{
	*builder = (struct pd_plain_builder){ .kind = kind, .number = number };
	pd_buffer_init(&builder->image, SIZE_MAX / 2);
	pd_buffer_init(&builder->index, SIZE_MAX / 2);
}

void pd_plain_builder_done(struct pd_plain_builder *builder)
{
	pd_buffer_done(&builder->image);
	pd_buffer_done(&builder->index);
}

static int block_close(struct pd_plain_builder *builder)
{
	struct pd_buffer *image = &builder->image, *index = &builder->index;
	uint8_t *block = image->data + builder->block_at, *to;
	size_t size = image->size - builder->block_at;

	if (pd_buffer_reserve(index, INDEX_HEAD_SIZE + builder->first_size + builder->last_size) != 0)
		return PD_NO_MEMORY;
	pd_store_u32(block + 4, builder->block_entries);
	pd_store_u32(block, pd_crc32c(crc_at(builder->number, builder->block_at), block + 4, size - 4));
	to = index->data + index->size;
	pd_store_u64(to, builder->block_at);
	pd_store_u64(to + 8, size);
	pd_store_u32(to + 16, pd_load_u32(block));
	pd_store_u32(to + 20, builder->block_entries);
	pd_store_u32(to + 24, (uint32_t)builder->first_size);
	pd_store_u32(to + 28, (uint32_t)builder->last_size);
	memcpy(to + INDEX_HEAD_SIZE, image->data + builder->first_at, builder->first_size);
	memcpy(to + INDEX_HEAD_SIZE + builder->first_size, image->data + builder->last_at,
	       builder->last_size);
	index->size += INDEX_HEAD_SIZE + builder->first_size + builder->last_size;
	builder->blocks++;
	builder->block_at = 0;
	builder->block_entries = 0;
	return 0;
}

int pd_plain_builder_add(struct pd_plain_builder *builder, const struct pd_plain_entry *entry)
{
	struct pd_buffer *image = &builder->image;
	size_t room = HEAD_SIZE + BLOCK_HEAD_SIZE + 2 * PD_VARINT_MAX + entry->key.size + entry->value.size;

	PD_ASSERT(!entry->is_delete || entry->value.size == 0);
	if (pd_buffer_reserve(image, room) != 0)
		return PD_NO_MEMORY;
	if (image->size == 0) {
		head_write(image->data, builder->number, builder->kind);
		image->size = HEAD_SIZE;
	}
	if (builder->block_at == 0) {
		builder->block_at = image->size;
		image->size += BLOCK_HEAD_SIZE;
	}
	image->size += pd_varint_put(image->data + image->size, entry->key.size);
	image->size += pd_varint_put(image->data + image->size, entry->is_delete ? 0 : entry->value.size + 1);
	if (builder->block_entries++ == 0) {
		builder->first_at = image->size;
		builder->first_size = entry->key.size;
	}
	builder->last_at = image->size;
	builder->last_size = entry->key.size;
	if (builder->kind == PD_PLAIN_RANGES) {
		builder->last_at += entry->key.size;
		builder->last_size = entry->value.size;
	}
	PD_ASSERT(pd_buffer_append_slice(image, entry->key) == 0);
	PD_ASSERT(pd_buffer_append_slice(image, entry->value) == 0);
	builder->entries++;
	builder->deletes += entry->is_delete || builder->kind == PD_PLAIN_RANGES;
	return image->size - builder->block_at < BLOCK_TARGET ? 0 : block_close(builder);
}

/* ---- taking one in ---- */

static int file_new(const struct pd_plain_description *description, struct pd_plain_file **ret_file)
{
	struct pd_plain_file *file = pd_calloc(1, sizeof *file);
	size_t first_size = description->first.size, last_size = description->last.size;

	if (file != NULL)
		file->keys = pd_malloc(first_size + last_size);
	if (file == NULL || file->keys == NULL) {
		pd_free(file);
		return PD_NO_MEMORY;
	}
	file->is = *description;
	memcpy(file->keys, description->first.data, first_size);
	memcpy(file->keys + first_size, description->last.data, last_size);
	file->is.first.data = file->keys;
	file->is.last.data = file->keys + first_size;
	*ret_file = file;
	return 0;
}

void pd_plain_file_free(struct pd_plain_file *file)
{
	if (file == NULL)
		return;
	pd_free(file->keys);
	pd_free(file->image);
	pd_free(file->blocks);
	pd_free(file);
}

static void damage_all(struct pd_plain_file *file, int code, const char *text)
{
	file->damage_code = code;
	(void)snprintf(file->damage, sizeof file->damage, "%.*s", (int)sizeof file->damage - 1, text);
	pd_free(file->image);
	file->image = NULL;
	file->image_size = 0;
	pd_free(file->blocks);
	file->blocks = NULL;
	file->block_count = 0;
}

/* Whether its entries are what the index says of them. */
static bool block_sound(const struct pd_plain_file *file, const struct pd_plain_block *block)
{
	bool ranges = file->is.kind == PD_PLAIN_RANGES;
	const uint8_t *at = block->entries;
	struct pd_slice before = block->first;
	struct pd_plain_entry entry;
	uint32_t count = 0;

	for (; at != block->end; count++) {
		int order;

		at = pd_plain_entry_read(at, block->end, &entry);
		if (at == NULL)
			return false;
		order = pd_slice_compare(entry.key, before);
		if (count == 0 ? order != 0 : order <= 0)
			return false;
		if (ranges && (entry.is_delete || pd_slice_compare(entry.key, entry.value) >= 0))
			return false;
		before = ranges ? entry.value : entry.key;
	}
	return count == block->count && count > 0 && pd_slice_equal(before, block->last);
}

/* A block comes behind the one before it, the first and the last begin and end the file. What is looked for goes by that. */
static bool block_in_place(const struct pd_plain_file *file, size_t index)
{
	const struct pd_plain_block *block = &file->blocks[index];
	int order = index > 0 ? pd_slice_compare(block->first, block[-1].last) : 1;

	return pd_slice_compare(block->first, block->last) <= 0 &&
	       (file->is.kind == PD_PLAIN_RANGES ? order >= 0 : order > 0) &&
	       (index > 0 || pd_slice_equal(block->first, file->is.first)) &&
	       (index + 1 < file->block_count || pd_slice_equal(block->last, file->is.last));
}

/* Read the index, whose checksum is right, and check the blocks. false: it is not what an index looks like. */
static bool index_read(struct pd_plain_file *file, const uint8_t *at, const uint8_t *end)
{
	const uint8_t *index = at;

	for (size_t i = 0; i < file->block_count; i++) {
		struct pd_plain_block *block = &file->blocks[i];
		uint64_t size, limit = (uint64_t)(index - file->image);
		uint32_t crc, first_size, last_size;
		const uint8_t *start;

		if (end - at < INDEX_HEAD_SIZE)
			return false;
		block->offset = pd_load_u64(at);
		size = pd_load_u64(at + 8);
		crc = pd_load_u32(at + 16);
		block->count = pd_load_u32(at + 20);
		first_size = pd_load_u32(at + 24);
		last_size = pd_load_u32(at + 28);
		at += INDEX_HEAD_SIZE;
		if ((uint64_t)first_size + last_size > (uint64_t)(end - at) || block->offset > limit ||
		    size > limit - block->offset || size < BLOCK_HEAD_SIZE)
			return false;
		block->first = pd_slice(at, first_size);
		block->last = pd_slice(at + first_size, last_size);
		at += first_size + last_size;
		if (!block_in_place(file, i))
			return false;
		start = file->image + block->offset;
		block->entries = start + BLOCK_HEAD_SIZE;
		block->end = start + size;
		block->damaged = pd_load_u32(start) != crc ||
				 pd_crc32c(crc_at(file->is.number, block->offset), start + 4,
					   (size_t)size - 4) != crc ||
				 !block_sound(file, block);
		file->damaged_blocks += block->damaged;
	}
	return at == end;
}

/* Find out what is in the image, which has the described size. */
static int take_image(struct pd_plain_file *file)
{
	const uint8_t *foot = file->image + file->image_size - FOOT_SIZE;
	uint8_t head[HEAD_SIZE];
	uint64_t index_at, index_size, limit = file->image_size - FOOT_SIZE;

	head_write(head, file->is.number, file->is.kind);
	index_at = pd_load_u64(foot);
	index_size = pd_load_u64(foot + 8);
	if (memcmp(file->image, head, HEAD_SIZE) != 0) {
		damage_all(file, PD_CORRUPT, "its head is not as it was written");
		return 0;
	}
	if (index_at > limit || index_size != limit - index_at ||
	    pd_load_u32(foot + FOOT_SIZE - 4) != file->is.crc ||
	    index_crc(file->is.number, file->image + index_at, (size_t)index_size) != file->is.crc ||
	    pd_load_u64(foot + 16) > index_size / INDEX_HEAD_SIZE) {
		damage_all(file, PD_CORRUPT, "the checksum of its index is wrong");
		return 0;
	}
	file->block_count = (size_t)pd_load_u64(foot + 16);
	file->blocks = pd_calloc(file->block_count, sizeof *file->blocks);
	if (file->blocks == NULL)
		return PD_NO_MEMORY;
	if (!index_read(file, file->image + index_at, foot))
		damage_all(file, PD_CORRUPT, "its index makes no sense");
	return 0;
}

int pd_plain_builder_finish(struct pd_plain_builder *builder, struct pd_plain_file **ret_file)
{
	struct pd_buffer *image = &builder->image;
	const struct pd_buffer *index = &builder->index;
	struct pd_plain_description is = { .number = builder->number, .kind = builder->kind };
	struct pd_plain_file *file;
	uint8_t *foot;
	int rc = builder->block_at > 0 ? block_close(builder) : 0;

	PD_ASSERT(builder->entries > 0);
	if (rc != 0 || pd_buffer_reserve(image, index->size + FOOT_SIZE) != 0)
		return PD_NO_MEMORY;
	foot = image->data + image->size + index->size;
	memcpy(image->data + image->size, index->data, index->size);
	pd_store_u64(foot, image->size);
	pd_store_u64(foot + 8, index->size);
	pd_store_u64(foot + 16, builder->blocks);
	pd_store_u64(foot + 24, builder->entries);
	pd_store_u64(foot + 32, builder->deletes);
	pd_store_u32(foot + 40, 0);
	is.crc = index_crc(is.number, image->data + image->size, index->size);
	pd_store_u32(foot + 44, is.crc);
	image->size += index->size + FOOT_SIZE;
	is.size = image->size;
	is.entries = builder->entries;
	is.deletes = builder->deletes;
	is.first = pd_slice(index->data + INDEX_HEAD_SIZE, pd_load_u32(index->data + 24));
	is.last = pd_slice(image->data + builder->last_at, builder->last_size);
	rc = file_new(&is, &file);
	if (rc != 0)
		return rc;
	file->image = image->data;
	file->image_size = image->size;
	*image = (struct pd_buffer){ .max = image->max };
	rc = take_image(file);
	if (rc != 0) {
		pd_plain_file_free(file);
		return rc;
	}
	PD_ASSERT(!pd_plain_file_damaged(file));
	*ret_file = file;
	return 0;
}

/* ---- on the disk ---- */

void pd_plain_file_unlink(const struct pd_plain_file *file, struct pd_os *os, const char *directory)
{
	char *path = pd_plain_path(directory, file->is.number);

	/* A leftover costs room and nothing else, and the next opening tries again. */
	if (path != NULL)
		(void)!pd_os_unlink(os, path, NULL);
	pd_free(path);
}

int pd_plain_file_write(const struct pd_plain_file *file, struct pd_os *os, const char *directory,
			struct pd_error *err)
{
	char *path = pd_plain_path(directory, file->is.number);
	struct pd_os_file *handle = NULL;
	int rc;

	if (path == NULL)
		return pd_plain_no_memory(directory, err);
	rc = pd_os_open(os, path, PD_OS_WRITE | PD_OS_CREATE | PD_OS_EXCLUSIVE, &handle, err);
	if (rc == 0)
		rc = pd_os_write(handle, file->image, file->image_size, 0, err);
	if (rc == 0 && !pd_plant(PD_PLANT_SKIP_STATE_SYNC))
		rc = pd_os_datasync(handle, err);
	pd_os_close(handle);
	if (rc != 0 && rc != PD_EXISTS)
		(void)!pd_os_unlink(os, path, NULL);
	pd_free(path);
	return rc;
}

/* 0, or what is wrong with the file as a whole. */
static int read_image(struct pd_plain_file *file, struct pd_os *os, const char *path, struct pd_error *err)
{
	struct pd_os_file_info info = { 0 };
	struct pd_os_file *handle = NULL;
	size_t got = 0;
	int rc = pd_os_info(os, path, &info, err);

	if (rc != 0)
		return rc;
	if (info.size != file->is.size)
		return pd_error_set(err, PD_CORRUPT, "it has %" PRIu64 " bytes and not %" PRIu64, info.size,
				    file->is.size);
	file->image_size = (size_t)file->is.size;
	file->image = pd_malloc(file->image_size);
	if (file->image == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "cannot read '%s': out of memory", path);
	rc = pd_os_open(os, path, PD_OS_READ, &handle, err);
	if (rc == 0)
		rc = pd_os_read(handle, file->image, file->image_size, 0, &got, err);
	pd_os_close(handle);
	if (rc == 0 && got != file->image_size)
		return pd_error_set(err, PD_CORRUPT, "it ends after %zu bytes of %zu", got, file->image_size);
	return rc;
}

int pd_plain_file_read(const struct pd_plain_description *description, struct pd_os *os,
		       const char *directory, struct pd_plain_file **ret_file, struct pd_error *err)
{
	char *path = pd_plain_path(directory, description->number);
	struct pd_plain_file *file = NULL;
	struct pd_error why = { 0 };
	int rc;

	if (path == NULL || file_new(description, &file) != 0) {
		pd_free(path);
		return pd_plain_no_memory(directory, err);
	}
	rc = read_image(file, os, path, &why);
	pd_free(path);
	if (rc == PD_NOT_FOUND || rc == PD_CORRUPT || rc == PD_IO) {
		damage_all(file, rc == PD_IO ? PD_IO : PD_CORRUPT,
			   rc == PD_NOT_FOUND ? "it is missing" : why.text);
	} else {
		if (rc == 0 && take_image(file) != 0)
			rc = pd_plain_no_memory(directory, &why);
		if (rc != 0) {
			pd_plain_file_free(file);
			return pd_error_set(err, rc, "%s", why.text);
		}
	}
	*ret_file = file;
	return 0;
}

/* ---- looking something up ---- */

size_t pd_plain_file_block(const struct pd_plain_file *file, struct pd_slice key)
{
	size_t low = 0, high = file->block_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (pd_slice_compare(file->blocks[middle].first, key) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 ? low - 1 : file->block_count;
}

static int damage_error(const struct pd_plain_file *file, const char *directory, struct pd_error *err)
{
	if (file->damage_code != 0)
		return pd_error_set(err, file->damage_code, "%s/%0*" PRIu64 SUFFIX ": %s", directory, DIGITS,
				    file->is.number, file->damage);
	return pd_error_set(err, PD_CORRUPT, "%s/%0*" PRIu64 SUFFIX ": the checksum of a block is wrong",
			    directory, DIGITS, file->is.number);
}

int pd_plain_file_check(const struct pd_plain_file *file, const char *directory, struct pd_slice from,
			struct pd_slice to, struct pd_error *err)
{
	size_t block;

	if (!pd_plain_file_damaged(file) || pd_slice_compare(file->is.last, from) < 0 ||
	    pd_slice_compare(file->is.first, to) > 0)
		return 0;
	if (file->damage_code != 0)
		return damage_error(file, directory, err);
	block = pd_plain_file_block(file, from);
	for (block = block < file->block_count ? block : 0; block < file->block_count; block++) {
		if (pd_slice_compare(file->blocks[block].first, to) > 0)
			return 0;
		if (file->blocks[block].damaged && pd_slice_compare(file->blocks[block].last, from) >= 0)
			return damage_error(file, directory, err);
	}
	return 0;
}

bool pd_plain_file_find(const struct pd_plain_file *file, struct pd_slice key,
			struct pd_plain_entry *ret_entry)
{
	size_t index = pd_plain_file_block(file, key);
	const struct pd_plain_block *block;
	int order = -1;

	if (index == file->block_count)
		return false;
	block = &file->blocks[index];
	if (pd_slice_compare(block->last, key) < 0)
		return false;
	PD_ASSERT(!block->damaged);
	for (const uint8_t *at = block->entries; at != block->end && order < 0;) {
		at = pd_plain_entry_read(at, block->end, ret_entry);
		order = pd_slice_compare(ret_entry->key, key);
	}
	return order == 0;
}

bool pd_plain_file_covers(const struct pd_plain_file *file, struct pd_slice key)
{
	size_t index = pd_plain_file_block(file, key);
	const struct pd_plain_block *block;

	if (index == file->block_count)
		return false;
	block = &file->blocks[index];
	if (pd_slice_compare(block->last, key) <= 0)
		return false;
	PD_ASSERT(!block->damaged);
	for (const uint8_t *at = block->entries; at != block->end;) {
		struct pd_plain_entry range;

		at = pd_plain_entry_read(at, block->end, &range);
		if (pd_slice_compare(range.key, key) > 0)
			return false;
		if (pd_slice_compare(key, range.value) < 0)
			return true;
	}
	return false;
}
