#include "backup/piece.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "backup/scan.h"
#include "base/codec.h"
#include "base/crc32c.h"

#define MAGIC    0x50424450u /* "PDBP" */
#define VERSION  1u
#define AS_IT_IS 0u /* a codec */

void pd_piece_name(const struct pd_piece *piece, char name[PD_PIECE_NAME_SIZE])
{
	char digits[2 * PD_SHA256_SIZE + 1];

	pd_scan_format_hex(piece->sha256, sizeof piece->sha256, digits);
	(void)snprintf(name, PD_PIECE_NAME_SIZE, "data/%.2s/%s", digits, digits);
}

/* Head and content. */
static int fill(struct pd_buffer *object, struct pd_slice content, struct pd_error *err)
{
	uint8_t head[PD_PIECE_HEAD_SIZE] = { 0 };

	pd_store_u32(head, MAGIC);
	head[4] = VERSION;
	head[5] = AS_IT_IS;
	pd_store_u32(head + 8, (uint32_t)content.size);
	pd_store_u32(head + 12, pd_crc32c(pd_crc32c(0, head, 12), content.data, content.size));
	pd_buffer_clear(object);
	if (pd_buffer_append(object, head, sizeof head) != 0 || pd_buffer_append_slice(object, content) != 0)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for a piece of a file");
	return 0;
}

/* It is there, put by whoever: a process that was killed may have left it as a power cut takes it. While we have the repository nobody else puts any, so once is enough. */
static int settle_folder(struct pd_repository *repository, const struct pd_piece *piece, struct pd_error *err)
{
	uint8_t *bits = &repository->settled[piece->sha256[0] / 8];
	uint8_t bit = (uint8_t)(1u << piece->sha256[0] % 8);
	char prefix[sizeof "data/ab/"];
	int result;

	if ((*bits & bit) != 0)
		return 0;
	(void)snprintf(prefix, sizeof prefix, "data/%02x/", piece->sha256[0]);
	result = pd_object_settle(repository->store, prefix, err);
	if (result == 0)
		*bits |= bit;
	return result;
}

int pd_piece_put(struct pd_repository *repository, struct pd_slice content, struct pd_piece *ret_piece,
		 uint64_t *ret_stored, struct pd_error *err)
{
	char name[PD_PIECE_NAME_SIZE];
	uint64_t size;
	int result;

	*ret_stored = 0;
	if (pd_crypto_sha256(content, ret_piece->sha256) != 0)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory while hashing a piece of a file");
	pd_piece_name(ret_piece, name);
	result = pd_object_head(repository->store, name, &size, err);
	if (result == 0 && size != PD_PIECE_HEAD_SIZE + content.size)
		return pd_error_set(err, PD_CORRUPT,
				    "object '%s' of the repository %s is damaged: it has %" PRIu64
				    " bytes. Remove it, and this backup puts it there again",
				    name, pd_repository_address(repository), size);
	if (result == 0)
		return settle_folder(repository, ret_piece, err);
	if (result != PD_NOT_FOUND)
		return result;
	result = fill(&repository->object, content, err);
	if (result == 0)
		result = pd_object_put_bytes(repository->store, name, pd_buffer_slice(&repository->object),
					     NULL, err);
	if (result == 0)
		*ret_stored = repository->object.size;
	return result == PD_EXISTS ? 0 : result;
}

static int damaged(const struct pd_repository *repository, const char *name, const char *what,
		   struct pd_error *err)
{
	return pd_error_set(err, PD_CORRUPT, "object '%s' of the repository %s %s", name,
			    pd_repository_address(repository), what);
}

static int missing(const struct pd_repository *repository, const char *name, struct pd_error *err)
{
	return damaged(repository, name, "is missing", err);
}

int pd_piece_get(struct pd_repository *repository, const struct pd_piece *piece, size_t size,
		 struct pd_slice *ret_content, struct pd_error *err)
{
	struct pd_buffer *object = &repository->object;
	uint8_t sha256[PD_SHA256_SIZE];
	char name[PD_PIECE_NAME_SIZE];
	struct pd_slice content;
	int result;

	pd_piece_name(piece, name);
	pd_buffer_clear(object);
	result = pd_object_get_bytes(repository->store, name, NULL, object, err);
	if (result == PD_NOT_FOUND)
		return missing(repository, name, err);
	if (result == PD_TOO_LARGE)
		return damaged(repository, name, "is damaged: it is larger than a piece can be", err);
	if (result != 0)
		return result;
	if (object->size < PD_PIECE_HEAD_SIZE || pd_load_u32(object->data) != MAGIC)
		return damaged(repository, name, "is damaged: it does not begin as a piece does", err);
	content = pd_slice(object->data + PD_PIECE_HEAD_SIZE, object->size - PD_PIECE_HEAD_SIZE);
	if (pd_load_u32(object->data + 12) !=
	    pd_crc32c(pd_crc32c(0, object->data, 12), content.data, content.size))
		return damaged(repository, name, "is damaged: its checksum is wrong", err);
	if (object->data[4] > VERSION || object->data[5] != AS_IT_IS)
		return pd_error_set(
			err, PD_NEWER_FORMAT,
			"object '%s' of the repository %s was written by a newer Perdure: use one", name,
			pd_repository_address(repository));
	if (pd_load_u32(object->data + 8) != content.size || content.size != size)
		return damaged(repository, name, "is damaged: it is not as large as it was", err);
	if (pd_crypto_sha256(content, sha256) != 0)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory while checking a piece of a file");
	if (memcmp(sha256, piece->sha256, sizeof sha256) != 0)
		return damaged(repository, name, "is another than its name says", err);
	*ret_content = content;
	return 0;
}

int pd_piece_look(struct pd_repository *repository, const struct pd_piece *piece, size_t size,
		  struct pd_error *err)
{
	char name[PD_PIECE_NAME_SIZE];
	uint64_t found;
	int result;

	pd_piece_name(piece, name);
	result = pd_object_head(repository->store, name, &found, err);
	if (result == PD_NOT_FOUND)
		return missing(repository, name, err);
	if (result == 0 && found != PD_PIECE_HEAD_SIZE + size)
		return damaged(repository, name, "is damaged: it is not as large as it was", err);
	return result;
}
