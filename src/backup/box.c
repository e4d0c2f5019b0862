#include "backup/box.h"

#include <string.h>

#include "base/codec.h"
#include "base/crc32c.h"

#define MAGIC    0x50424450u /* "PDBP" */
#define VERSION  1u
#define SUMMED   16u /* bytes of the head that its checksum is of */
#define AS_IT_IS 0u  /* codecs */
#define ZSTD     1u
#define CLEAR    0u /* ciphers */
#define AES_GCM  1u

static int no_memory(struct pd_error *err)
{
	return pd_error_set(err, PD_NO_MEMORY, "out of memory for an object of a repository");
}

static int damaged(const struct pd_repository *repository, const char *name, const char *what,
		   struct pd_error *err)
{
	return pd_error_set(err, PD_CORRUPT, "object '%s' of the repository %s is damaged: %s", name,
			    pd_repository_address(repository), what);
}

static uint32_t sum(const uint8_t *head, struct pd_slice body)
{
	return pd_crc32c(pd_crc32c(0, head, SUMMED), body.data, body.size);
}

/* ---- in ---- */

/* What of a content is tried first: so many places, and so many bytes of each. */
#define SAMPLES      8u
#define SAMPLE_BYTES ((size_t)16 * 1024)

static bool is_shorter(size_t packed, size_t size)
{
	return packed <= size - size / 16;
}

/* Behind what is in repository->packed. */
static int compress(struct pd_repository *repository, struct pd_slice content)
{
	struct pd_buffer *packed = &repository->packed;
	int result = 0;

	if (repository->compressor == NULL)
		result = pd_compressor_new(PD_COMPRESS_FAST, &repository->compressor);
	if (result == 0)
		result = pd_compressor_add(repository->compressor, content, packed);
	if (result == 0)
		result = pd_compressor_end(repository->compressor, packed);
	if (result != 0) { /* the stream is of no use any more */
		pd_compressor_free(repository->compressor);
		repository->compressor = NULL;
	}
	return result;
}

/* To try takes as long as all else. Where no place of it gets shorter, the whole does not; one that does is enough to try. */
static int is_worth_it(struct pd_repository *repository, struct pd_slice content, bool *ret_worth)
{
	size_t step = content.size / SAMPLES;
	int result = 0;

	*ret_worth = step < 2 * SAMPLE_BYTES;
	for (size_t i = 0; i < SAMPLES && !*ret_worth && result == 0; i++) {
		pd_buffer_clear(&repository->packed);
		result = compress(repository, pd_slice(content.data + i * step, SAMPLE_BYTES));
		*ret_worth = result == 0 && is_shorter(repository->packed.size, SAMPLE_BYTES);
	}
	return result;
}

/* The content, or what is in repository->packed then, which is shorter. */
static int choose_body(struct pd_repository *repository, struct pd_slice content, struct pd_slice *ret_body)
{
	bool worth;
	int result = is_worth_it(repository, content, &worth);

	*ret_body = content;
	if (result != 0 || !worth)
		return result;
	pd_buffer_clear(&repository->packed);
	result = compress(repository, content);
	if (result == 0 && is_shorter(repository->packed.size, content.size))
		*ret_body = pd_buffer_slice(&repository->packed);
	return result;
}

static void fill_head(uint8_t head[PD_BOX_HEAD_SIZE], bool packed, bool sealed, size_t content, size_t size)
{
	memset(head, 0, PD_BOX_HEAD_SIZE);
	pd_store_u32(head, MAGIC);
	head[4] = VERSION;
	head[5] = packed ? ZSTD : AS_IT_IS;
	head[6] = sealed ? AES_GCM : CLEAR;
	pd_store_u32(head + 8, (uint32_t)content);
	pd_store_u32(head + 12, (uint32_t)size);
}

/* Where nothing is encrypted the body stays where it is. */
int pd_box_pack(struct pd_repository *repository, const char *name, struct pd_slice content,
		struct pd_slice ret_slices[PD_BOX_SLICES], struct pd_error *err)
{
	struct pd_buffer *object = &repository->object;
	bool sealed = repository->key.kind != PD_KEY_NONE;
	struct pd_slice body;
	size_t size;

	if (choose_body(repository, content, &body) != 0)
		return no_memory(err);
	size = body.size + (sealed ? PD_KEY_SEAL_SIZE : 0);
	pd_buffer_clear(object);
	if (pd_buffer_reserve(object, PD_BOX_HEAD_SIZE + (sealed ? size : 0)) != 0)
		return no_memory(err);
	object->size = PD_BOX_HEAD_SIZE + (sealed ? size : 0);
	fill_head(object->data, body.data != content.data, sealed, content.size, size);
	if (sealed) {
		uint8_t *room = object->data + PD_BOX_HEAD_SIZE;

		memcpy(room + PD_CIPHER_NONCE_SIZE, body.data, body.size);
		if (pd_key_seal(&repository->key, repository->os, name, pd_slice(object->data, SUMMED), room,
				size) != 0)
			return no_memory(err);
		body = pd_slice(room, size);
	}
	pd_store_u32(object->data + SUMMED, sum(object->data, body));
	ret_slices[0] = pd_buffer_slice(object);
	ret_slices[1] = sealed ? pd_slice(NULL, 0) : body;
	return 0;
}

/* ---- out ---- */

/* All that the head alone can tell. `bytes`: of the object. */
static int check_head(const struct pd_repository *repository, const char *name, const uint8_t *head,
		      uint64_t bytes, size_t size, struct pd_error *err)
{
	if (bytes < PD_BOX_HEAD_SIZE || pd_load_u32(head) != MAGIC)
		return damaged(repository, name, "it does not begin as a piece does", err);
	if (pd_load_u32(head + 12) != bytes - PD_BOX_HEAD_SIZE ||
	    (size != PD_BOX_ANY_SIZE && pd_load_u32(head + 8) != size))
		return damaged(repository, name, "it is not as large as it was", err);
	return 0;
}

static int decompress(struct pd_repository *repository, const char *name, struct pd_slice body, size_t size,
		      struct pd_slice *ret_content, struct pd_error *err)
{
	struct pd_buffer *content = &repository->packed;
	struct pd_decompressor *decompressor;
	uint8_t behind;
	size_t more = 0;
	bool end;
	int result;

	pd_buffer_clear(content);
	if (pd_buffer_reserve(content, size) != 0 || pd_decompressor_new(&decompressor) != 0)
		return no_memory(err);
	result = pd_decompressor_take(decompressor, &body, content->data, size, &content->size, &end);
	/* Its end comes when all is out, and there must be nothing more. */
	if (result == 0 && !end)
		result = pd_decompressor_take(decompressor, &body, &behind, 1, &more, &end);
	pd_decompressor_free(decompressor);
	if (result == PD_NO_MEMORY)
		return no_memory(err);
	if (result != 0 || !end || more > 0 || body.size > 0 || content->size != size)
		return damaged(repository, name, "it cannot be decompressed", err);
	*ret_content = pd_buffer_slice(content);
	return 0;
}

/* Somebody who has not the key can put anything there; so what is not sealed counts for nothing where all is. */
static int unseal(struct pd_repository *repository, const char *name, uint8_t *head, struct pd_slice *body,
		  struct pd_error *err)
{
	bool sealed = repository->key.kind != PD_KEY_NONE;
	int result;

	if (sealed != (head[6] == AES_GCM))
		return damaged(repository, name,
			       sealed ? "it is not encrypted, as all objects here are"
				      : "it is encrypted, and this repository is not",
			       err);
	if (!sealed)
		return 0;
	result = pd_key_open(&repository->key, name, pd_slice(head, SUMMED), head + PD_BOX_HEAD_SIZE,
			     body->size);
	if (result == PD_NO_MEMORY)
		return no_memory(err);
	if (result != 0)
		return damaged(repository, name,
			       "it was not encrypted under this repository's key, or under another name",
			       err);
	*body = pd_slice(body->data + PD_CIPHER_NONCE_SIZE, body->size - PD_KEY_SEAL_SIZE);
	return 0;
}

int pd_box_unpack(struct pd_repository *repository, const char *name, size_t size, size_t most,
		  struct pd_slice *ret_content, struct pd_error *err)
{
	const struct pd_buffer *object = &repository->object;
	uint8_t *head = object->data;
	struct pd_slice body;
	int result = check_head(repository, name, head, object->size, size, err);

	if (result != 0)
		return result;
	body = pd_slice(head + PD_BOX_HEAD_SIZE, object->size - PD_BOX_HEAD_SIZE);
	if (pd_load_u32(head + 16) != sum(head, body))
		return damaged(repository, name, "its checksum is wrong", err);
	/* The checksum holds: somebody meant it. */
	if (head[4] != VERSION || head[5] > ZSTD || head[6] > AES_GCM || head[7] != 0)
		return pd_error_set(
			err, PD_NEWER_FORMAT,
			"object '%s' of the repository %s was written by a newer Perdure: use one", name,
			pd_repository_address(repository));
	size = pd_load_u32(head + 8);
	if (size > most)
		return damaged(repository, name, "it is larger than such an object can be", err);
	result = unseal(repository, name, head, &body, err);
	if (result != 0)
		return result;
	if (head[5] == ZSTD)
		return decompress(repository, name, body, size, ret_content, err);
	if (body.size != size)
		return damaged(repository, name, "it is not as large as it was", err);
	*ret_content = body;
	return 0;
}

/* Only what is not compressed is as long as content, head and seal: for the rest the head is asked. */
int pd_box_look(struct pd_repository *repository, const char *name, size_t size, uint64_t *ret_bytes,
		struct pd_error *err)
{
	const struct pd_buffer *object = &repository->object;
	size_t seal = repository->key.kind != PD_KEY_NONE ? PD_KEY_SEAL_SIZE : 0;
	int result = pd_object_head(repository->store, name, ret_bytes, err);

	if (result != 0 || *ret_bytes == PD_BOX_HEAD_SIZE + size + seal)
		return result;
	result = pd_repository_read(repository, name, PD_BOX_HEAD_SIZE, PD_BOX_HEAD_SIZE, err);
	if (result != 0)
		return result;
	if (object->size < PD_BOX_HEAD_SIZE)
		return damaged(repository, name, "it is not as large as it was", err);
	return check_head(repository, name, object->data, *ret_bytes, size, err);
}
