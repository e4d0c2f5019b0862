/* The bytes of objects, in and out. Much of them goes past the page cache: whole pieces through a second handle, and what is left at the end through
 * the first one. They never share a block, and a sync of either is one of both. A file system that has no direct I/O, or not for such a
 * file, is written and read as usual. */
#include <string.h>

#include "base/memory.h"
#include "provider/local/local_private.h"

#define ALIGNMENT 4096 /* of memory and offsets: enough for every file system */

static int no_memory(const char *what, struct pd_error *err)
{
	return pd_error_set(err, PD_NO_MEMORY, "no memory to %s an object", what);
}

static bool has_piece(struct pd_local_store *store)
{
	if (store->piece == NULL)
		store->piece = pd_malloc_aligned(ALIGNMENT, PD_LOCAL_DIRECT_PIECE);
	return store->piece != NULL;
}

/* *ret_file stays NULL where there is none. */
static int open_direct(struct pd_local_store *store, const char *path, int flags,
		       struct pd_os_file **ret_file, struct pd_error *err)
{
	int rc = store->no_direct ? PD_NOT_SUPPORTED
				  : pd_os_open(store->os, path, flags | PD_OS_DIRECT, ret_file, err);

	if (rc != PD_NOT_SUPPORTED)
		return rc;
	store->no_direct = true;
	return 0;
}

/* ---- in ---- */

struct writing {
	struct pd_local_store *store;
	const char *path;
	struct pd_os_file *file, *direct; /* NULL: not opened, or there is none */
	uint64_t at;                      /* where the piece goes */
	size_t used;                      /* of it */
};

static int write_piece(struct writing *writing, struct pd_error *err)
{
	int rc = 0;

	if (writing->direct == NULL)
		rc = open_direct(writing->store, writing->path, PD_OS_WRITE, &writing->direct, err);
	if (rc == 0)
		rc = pd_os_write(writing->direct != NULL ? writing->direct : writing->file,
				 writing->store->piece, writing->used, writing->at, err);
	writing->at += writing->used;
	writing->used = 0;
	return rc;
}

/* What is less than a piece, and in the end less than a block. */
static int write_rest(struct writing *writing, struct pd_error *err)
{
	size_t blocks = writing->used - writing->used % ALIGNMENT;
	int rc = 0;

	if (writing->direct == NULL)
		blocks = 0;
	if (blocks > 0)
		rc = pd_os_write(writing->direct, writing->store->piece, blocks, writing->at, err);
	if (rc == 0 && blocks < writing->used)
		rc = pd_os_write(writing->file, writing->store->piece + blocks, writing->used - blocks,
				 writing->at + blocks, err);
	writing->at += writing->used;
	return rc;
}

/* *ret_more: there may be more of it. Who reads what is over is told so once only. */
static int next_bytes(struct writing *writing, const struct pd_object_source *source, bool *ret_more,
		      struct pd_error *err)
{
	size_t room = PD_LOCAL_DIRECT_PIECE - writing->used, got = 0;
	uint8_t *to = writing->store->piece + writing->used;
	struct pd_slice bytes = pd_slice(NULL, 0);
	int rc;

	if (source->view == NULL) {
		rc = source->read(source->context, to, room, &got, err);
		*ret_more = got == room;
	} else {
		rc = source->view(source->context, room, &bytes, err);
		if (rc == 0 && bytes.size > 0)
			memcpy(to, bytes.data, bytes.size);
		got = bytes.size;
		*ret_more = got > 0;
	}
	if (rc == 0)
		writing->used += got;
	return rc;
}

static int write_large(struct writing *writing, const struct pd_object_source *source, struct pd_error *err)
{
	bool more;
	int rc;

	if (!has_piece(writing->store))
		return no_memory("write", err);
	do {
		rc = next_bytes(writing, source, &more, err);
		if (rc == 0 && writing->used == PD_LOCAL_DIRECT_PIECE)
			rc = write_piece(writing, err);
	} while (rc == 0 && more);
	if (rc == 0)
		rc = write_rest(writing, err);
	pd_os_close(writing->direct);
	return rc;
}

/* What is in memory goes to the file as it is. */
static int write_view(struct pd_os_file *file, const struct pd_object_source *source, uint64_t *size,
		      struct pd_error *err)
{
	struct pd_slice bytes;
	int rc;

	do {
		rc = source->view(source->context, PD_LOCAL_PIECE, &bytes, err);
		if (rc == 0 && bytes.size > 0)
			rc = pd_os_write(file, bytes.data, bytes.size, *size, err);
		*size += bytes.size;
	} while (rc == 0 && bytes.size > 0);
	return rc;
}

static int write_read(struct pd_os_file *file, const struct pd_object_source *source, uint64_t *size,
		      struct pd_error *err)
{
	uint8_t *piece = pd_malloc(PD_LOCAL_PIECE);
	size_t got;
	int rc;

	if (piece == NULL)
		return no_memory("write", err);
	do {
		got = 0;
		rc = source->read(source->context, piece, PD_LOCAL_PIECE, &got, err);
		if (rc == 0 && got > 0)
			rc = pd_os_write(file, piece, got, *size, err);
		*size += got;
	} while (rc == 0 && got == PD_LOCAL_PIECE);
	pd_free(piece);
	return rc;
}

int pd_local_copy_in(struct pd_local_store *store, struct pd_os_file *file, const char *path,
		     const struct pd_object_source *source, bool large, uint64_t *ret_size,
		     struct pd_error *err)
{
	struct writing writing = { .store = store, .path = path, .file = file };
	int rc;

	*ret_size = 0;
	if (!large)
		return source->view != NULL ? write_view(file, source, ret_size, err)
					    : write_read(file, source, ret_size, err);
	rc = write_large(&writing, source, err);
	*ret_size = writing.at;
	return rc;
}

/* ---- out ---- */

/* `size` bytes, but that a direct read ends where the file does. */
static int read_pieces(struct pd_os_file *file, uint8_t *piece, size_t most, uint64_t offset, uint64_t size,
		       const struct pd_object_sink *sink, struct pd_error *err)
{
	size_t alignment = pd_os_alignment(file);
	size_t got = 0, wanted, asked;
	int rc;

	do {
		wanted = size < most ? (size_t)size : most;
		asked = (wanted + alignment - 1) / alignment * alignment;
		rc = pd_os_read(file, piece, asked, offset, &got, err);
		got = got < wanted ? got : wanted;
		if (rc == 0 && got > 0)
			rc = sink->write(sink->context, piece, got, err);
		offset += got;
		size -= got;
	} while (rc == 0 && size > 0 && got == wanted);
	return rc;
}

static int read_buffered(struct pd_os_file *file, uint64_t offset, uint64_t size,
			 const struct pd_object_sink *sink, struct pd_error *err)
{
	uint8_t *piece = pd_malloc(PD_LOCAL_PIECE);
	int rc;

	if (piece == NULL)
		return no_memory("read", err);
	rc = read_pieces(file, piece, PD_LOCAL_PIECE, offset, size, sink, err);
	pd_free(piece);
	return rc;
}

int pd_local_copy_out(struct pd_local_store *store, struct pd_os_file *file, const char *path,
		      uint64_t offset, uint64_t size, const struct pd_object_sink *sink, struct pd_error *err)
{
	struct pd_os_file *direct = NULL;
	int rc = 0;

	if (size >= PD_LOCAL_DIRECT_PIECE && offset % ALIGNMENT == 0 && !pd_os_is_cached(file, offset, size))
		rc = open_direct(store, path, PD_OS_READ, &direct, err);
	if (rc != 0)
		return rc;
	if (direct == NULL)
		return read_buffered(file, offset, size, sink, err);
	rc = has_piece(store)
		     ? read_pieces(direct, store->piece, PD_LOCAL_DIRECT_PIECE, offset, size, sink, err)
		     : no_memory("read", err);
	pd_os_close(direct);
	return rc;
}
