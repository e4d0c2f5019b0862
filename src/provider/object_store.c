/* What holds for every store: names are checked before anything is touched; what goes through is counted, hashed and compared on
 * the way; lists are put in order. An implementation moves bytes. */
#include "provider/object_store.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/memory.h"
#include "provider/object_name.h"
#include "provider/object_store_private.h"

int pd_object_store_init(struct pd_object_store *store, const struct pd_object_store_ops *ops,
			 const char *address, struct pd_error *err)
{
	PD_ASSERT(ops->abi == PD_OBJECT_STORE_ABI && ops->kind != NULL && ops->free != NULL);
	PD_ASSERT(ops->put != NULL && ops->get != NULL && ops->head != NULL && ops->list != NULL);
	PD_ASSERT(ops->delete != NULL && ops->sweep != NULL);
	*store = (struct pd_object_store){ .ops = ops, .address = pd_strdup(address) };
	if (store->address == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "cannot open the object store '%s': out of memory",
				    address);
	return 0;
}

void pd_object_store_done(struct pd_object_store *store)
{
	pd_free(store->address);
	store->address = NULL;
}

int pd_object_store_go_on(struct pd_object_store *store, struct pd_error *err)
{
	if (store->watch.go_on == NULL || store->watch.go_on(store->watch.context, store->done_bytes))
		return 0;
	return pd_error_set(err, PD_CANCELLED, "the work on '%s' was cancelled", store->address);
}

void pd_object_store_free(struct pd_object_store *store)
{
	if (store != NULL)
		store->ops->free(store);
}

const char *pd_object_store_address(const struct pd_object_store *store)
{
	return store->address;
}

bool pd_object_store_can(const struct pd_object_store *store, enum pd_object_capability capability)
{
	return (store->ops->capabilities & (unsigned)capability) != 0;
}

void pd_object_store_watch(struct pd_object_store *store, const struct pd_object_watch *watch)
{
	store->watch = watch != NULL ? *watch : (struct pd_object_watch){ 0 };
}

/* Every call begins here. */
static int begin(struct pd_object_store *store, const char *name, struct pd_error *err)
{
	int rc = name != NULL ? pd_object_name_check(name, err) : 0;

	store->done_bytes = 0;
	return rc == 0 ? pd_object_store_go_on(store, err) : rc;
}

/* ---- what goes through ---- */

/* Bytes on their way, in either direction. */
struct passage {
	struct pd_object_store *store;
	const char *name;
	const struct pd_object_source *source; /* of a put */
	const struct pd_object_put_options *options;
	const struct pd_object_sink *sink; /* of a get */
	struct pd_sha256 *hash;            /* NULL: nobody asks for it */
	uint8_t sha256[PD_SHA256_SIZE];    /* of all, when it is over */
	uint64_t limit;                    /* of a get: more was not asked for */
	bool over;
};

static int passage_count(struct passage *passage, const void *data, size_t size, struct pd_error *err)
{
	if (passage->hash != NULL && pd_sha256_add(passage->hash, pd_slice(data, size)) != 0)
		return pd_error_set(err, PD_NO_MEMORY, "cannot hash '%s': out of memory", passage->name);
	passage->store->done_bytes += size;
	return pd_object_store_go_on(passage->store, err);
}

/* The source has ended: was it what was announced? */
static int source_end(struct passage *passage, struct pd_error *err)
{
	const struct pd_object_put_options *options = passage->options;
	uint64_t size = passage->store->done_bytes;

	passage->over = true;
	if (passage->hash != NULL && pd_sha256_finish(passage->hash, passage->sha256) != 0)
		return pd_error_set(err, PD_NO_MEMORY, "cannot hash '%s': out of memory", passage->name);
	if (options->size != PD_OBJECT_SIZE_UNKNOWN && options->size != size)
		return pd_error_set(
			err, PD_CORRUPT,
			"object '%s' was not put: its source has %llu bytes, not %llu; find out what "
			"has changed it, and put it again",
			passage->name, (unsigned long long)size, (unsigned long long)options->size);
	if (options->sha256 != NULL && memcmp(options->sha256, passage->sha256, PD_SHA256_SIZE) != 0)
		return pd_error_set(
			err, PD_CORRUPT,
			"object '%s' was not put: the SHA-256 of its source is not the announced one; "
			"find out what has changed it, and put it again",
			passage->name);
	return 0;
}

static int source_read(void *context, void *data, size_t size, size_t *ret_size, struct pd_error *err)
{
	struct passage *passage = context;
	size_t got = 0;
	int rc;

	PD_ASSERT(!passage->over && size > 0);
	rc = passage->source->read(passage->source->context, data, size, &got, err);
	PD_ASSERT(rc != 0 || got <= size);
	if (rc == 0)
		rc = passage_count(passage, data, got, err);
	if (rc == 0 && got < size)
		rc = source_end(passage, err);
	*ret_size = got;
	return rc;
}

static int source_view(void *context, size_t size, struct pd_slice *ret_bytes, struct pd_error *err)
{
	struct passage *passage = context;
	int rc;

	PD_ASSERT(!passage->over && size > 0);
	*ret_bytes = pd_slice(NULL, 0);
	rc = passage->source->view(passage->source->context, size, ret_bytes, err);
	PD_ASSERT(rc != 0 || ret_bytes->size <= size);
	if (rc == 0)
		rc = passage_count(passage, ret_bytes->data, ret_bytes->size, err);
	return rc == 0 && ret_bytes->size == 0 ? source_end(passage, err) : rc;
}

static int sink_write(void *context, const void *data, size_t size, struct pd_error *err)
{
	struct passage *passage = context;
	int rc;

	if (size > passage->limit - passage->store->done_bytes)
		return pd_error_set(
			err, PD_CORRUPT,
			"'%s' sent more of object '%s' than it was asked for; it does not do what it "
			"says",
			passage->store->address, passage->name);
	rc = passage->sink->write(passage->sink->context, data, size, err);
	return rc == 0 ? passage_count(passage, data, size, err) : rc;
}

/* ---- calls ---- */

int pd_object_put(struct pd_object_store *store, const char *name, const struct pd_object_source *source,
		  const struct pd_object_put_options *options, struct pd_object_receipt *ret_receipt,
		  struct pd_error *err)
{
	const struct pd_object_put_options defaults = PD_OBJECT_PUT_OPTIONS_DEFAULT;
	struct passage passage = { .store = store,
				   .name = name,
				   .source = source,
				   .options = options != NULL ? options : &defaults };
	const struct pd_object_source counted = { .read = source_read,
						  .context = &passage,
						  .view = source->view != NULL ? source_view : NULL };
	bool is_hashed = ret_receipt != NULL || passage.options->sha256 != NULL;
	int rc = begin(store, name, err);

	if (rc == 0 && passage.options->retain_until_us > 0 &&
	    !pd_object_store_can(store, PD_OBJECT_CAN_RETAIN))
		rc = pd_error_set(err, PD_NOT_SUPPORTED,
				  "'%s' cannot keep an object from being deleted; ask for no retention there",
				  store->address);
	if (rc == 0 && is_hashed && pd_sha256_new(&passage.hash) != 0)
		rc = pd_error_set(err, PD_NO_MEMORY, "cannot put '%s': out of memory", name);
	if (rc == 0)
		rc = store->ops->put(store, name, &counted, passage.options, err);
	if (rc == 0) {
		PD_ASSERT(passage.over);
		if (ret_receipt != NULL) {
			ret_receipt->size = store->done_bytes;
			memcpy(ret_receipt->sha256, passage.sha256, PD_SHA256_SIZE);
		}
	}
	pd_sha256_free(passage.hash);
	return rc;
}

/* Bytes that are in memory, and what is left of them. */
struct pieces {
	const struct pd_slice *slices;
	size_t count, at; /* slice, and */
	size_t offset;    /* in it */
};

static int pieces_view(void *context, size_t size, struct pd_slice *ret_bytes, struct pd_error *err)
{
	struct pieces *pieces = context;
	const struct pd_slice *slice;
	size_t left;

	(void)err;
	while (pieces->at < pieces->count && pieces->offset == pieces->slices[pieces->at].size) {
		pieces->at++;
		pieces->offset = 0;
	}
	if (pieces->at == pieces->count)
		return 0;
	slice = &pieces->slices[pieces->at];
	left = slice->size - pieces->offset;
	*ret_bytes = pd_slice(slice->data + pieces->offset, left < size ? left : size);
	pieces->offset += ret_bytes->size;
	return 0;
}

static int pieces_read(void *context, void *data, size_t size, size_t *ret_size, struct pd_error *err)
{
	size_t got = 0;
	int rc = 0;

	while (got < size && rc == 0) {
		struct pd_slice bytes = pd_slice(NULL, 0);

		rc = pieces_view(context, size - got, &bytes, err);
		if (bytes.size == 0)
			break;
		memcpy((uint8_t *)data + got, bytes.data, bytes.size);
		got += bytes.size;
	}
	*ret_size = got;
	return rc;
}

int pd_object_put_slices(struct pd_object_store *store, const char *name, const struct pd_slice *slices,
			 size_t count, const struct pd_object_put_options *options, struct pd_error *err)
{
	struct pieces pieces = { .slices = slices, .count = count };
	const struct pd_object_source source = { .read = pieces_read,
						 .context = &pieces,
						 .view = pieces_view };
	struct pd_object_put_options sized = options != NULL ? *options : PD_OBJECT_PUT_OPTIONS_DEFAULT;

	if (sized.size == PD_OBJECT_SIZE_UNKNOWN) {
		sized.size = 0;
		for (size_t i = 0; i < count; i++)
			sized.size += slices[i].size;
	}
	return pd_object_put(store, name, &source, &sized, NULL, err);
}

int pd_object_put_bytes(struct pd_object_store *store, const char *name, struct pd_slice bytes,
			const struct pd_object_put_options *options, struct pd_error *err)
{
	return pd_object_put_slices(store, name, &bytes, 1, options, err);
}

int pd_object_flush(struct pd_object_store *store, struct pd_error *err)
{
	int rc = begin(store, NULL, err);

	return rc == 0 && store->ops->flush != NULL ? store->ops->flush(store, err) : rc;
}

int pd_object_get(struct pd_object_store *store, const char *name, uint64_t offset, uint64_t size,
		  const uint8_t *sha256, const struct pd_object_sink *sink, uint64_t *ret_size,
		  struct pd_error *err)
{
	struct passage passage = { .store = store, .name = name, .sink = sink, .limit = size };
	const struct pd_object_sink counted = { sink_write, &passage };
	int rc = begin(store, name, err);

	if (rc != 0)
		return rc;
	if (sha256 != NULL && pd_sha256_new(&passage.hash) != 0)
		return pd_error_set(err, PD_NO_MEMORY, "cannot get '%s': out of memory", name);
	rc = store->ops->get(store, name, offset, size, &counted, err);
	if (rc == 0 && sha256 != NULL && pd_sha256_finish(passage.hash, passage.sha256) != 0)
		rc = pd_error_set(err, PD_NO_MEMORY, "cannot hash '%s': out of memory", name);
	if (rc == 0 && sha256 != NULL && memcmp(sha256, passage.sha256, PD_SHA256_SIZE) != 0)
		rc = pd_error_set(
			err, PD_CORRUPT,
			"object '%s' of '%s' is damaged: its SHA-256 is not the one that it was written "
			"with; use another copy",
			name, store->address);
	if (rc == 0 && ret_size != NULL)
		*ret_size = store->done_bytes;
	pd_sha256_free(passage.hash);
	return rc;
}

static int buffer_write(void *context, const void *data, size_t size, struct pd_error *err)
{
	struct pd_buffer *buffer = context;
	int rc = pd_buffer_append(buffer, data, size);

	if (rc == PD_TOO_LARGE)
		return pd_error_set(err, rc, "the object has more than the %zu bytes that there can be",
				    buffer->max);
	return rc == 0 ? 0 : pd_error_set(err, rc, "cannot get an object: out of memory");
}

int pd_object_get_bytes(struct pd_object_store *store, const char *name, const uint8_t *sha256,
			struct pd_buffer *buffer, struct pd_error *err)
{
	const struct pd_object_sink sink = { buffer_write, buffer };
	size_t before = buffer->size;
	int rc = pd_object_get(store, name, 0, PD_OBJECT_SIZE_UNKNOWN, sha256, &sink, NULL, err);

	if (rc != 0)
		buffer->size = before;
	return rc;
}

int pd_object_head(struct pd_object_store *store, const char *name, uint64_t *ret_size, struct pd_error *err)
{
	int rc = begin(store, name, err);

	return rc == 0 ? store->ops->head(store, name, ret_size, err) : rc;
}

int pd_object_delete(struct pd_object_store *store, const char *name, struct pd_error *err)
{
	int rc = begin(store, name, err);

	return rc == 0 ? store->ops->delete (store, name, err) : rc;
}

int pd_object_sweep(struct pd_object_store *store, uint64_t older_than_s, uint64_t *ret_count,
		    struct pd_error *err)
{
	uint64_t count = 0;
	int rc = begin(store, NULL, err);

	if (rc == 0)
		rc = store->ops->sweep(store, older_than_s, &count, err);
	if (rc == 0 && ret_count != NULL)
		*ret_count = count;
	return rc;
}

int pd_object_settle(struct pd_object_store *store, const char *prefix, struct pd_error *err)
{
	int rc = pd_object_prefix_check(prefix, err);

	if (rc == 0)
		rc = begin(store, NULL, err);
	return rc == 0 && store->ops->settle != NULL ? store->ops->settle(store, prefix, err) : rc;
}

/* ---- lists ---- */

int pd_object_page_add(struct pd_object_page *page, const char *prefix, const char *after, const char *name,
		       uint64_t size)
{
	struct pd_object_entry *grown;
	char *copy;

	if (strcmp(name, after) <= 0 || strncmp(name, prefix, strlen(prefix)) != 0 ||
	    !pd_object_name_valid(name))
		return 0;
	grown = pd_grow(page->entries, page->count, &page->capacity, sizeof *grown, 16);
	if (grown == NULL)
		return PD_NO_MEMORY;
	page->entries = grown;
	copy = pd_strdup(name);
	if (copy == NULL)
		return PD_NO_MEMORY;
	page->entries[page->count++] = (struct pd_object_entry){ copy, size };
	return 0;
}

void pd_object_page_done(struct pd_object_page *page)
{
	for (size_t i = 0; i < page->count; i++)
		pd_free(page->entries[i].name);
	pd_free(page->entries);
	*page = (struct pd_object_page){ 0 };
}

static int compare_entries(const void *a, const void *b)
{
	return strcmp(((const struct pd_object_entry *)a)->name, ((const struct pd_object_entry *)b)->name);
}

/* Services send entries twice, or late: whatever they do, a list is in order and has each name once. What is beyond the limit
 * comes with the next page. */
static void page_settle(struct pd_object_page *page, size_t limit)
{
	size_t kept = 0;

	if (page->count > 0)
		qsort(page->entries, page->count, sizeof *page->entries, compare_entries);
	for (size_t i = 0; i < page->count; i++) {
		char *name = page->entries[i].name;
		bool fresh = kept == 0 || strcmp(name, page->entries[kept - 1].name) != 0;

		if (fresh && kept < limit) {
			page->entries[kept++] = page->entries[i];
			continue;
		}
		page->more = page->more || fresh;
		pd_free(name);
	}
	page->count = kept;
	/* Or whoever asks for what is behind the last would ask for ever. */
	PD_ASSERT(page->count > 0 || !page->more);
}

int pd_object_list(struct pd_object_store *store, const char *prefix, const char *after, size_t limit,
		   struct pd_object_page *ret_page, struct pd_error *err)
{
	struct pd_object_page page = { 0 };
	int rc;

	PD_ASSERT(limit > 0 && limit <= PD_OBJECT_PAGE_MAX);
	if (after == NULL)
		after = "";
	rc = pd_object_prefix_check(prefix, err);
	if (rc == 0)
		rc = pd_object_prefix_check(after, err);
	if (rc == 0)
		rc = begin(store, NULL, err);
	if (rc == 0)
		rc = store->ops->list(store, prefix, after, limit, &page, err);
	if (rc != 0) {
		pd_object_page_done(&page);
		return rc;
	}
	page_settle(&page, limit);
	*ret_page = page;
	return 0;
}
