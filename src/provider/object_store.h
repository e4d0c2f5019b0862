/* Object stores: named, unchanging objects in a directory, or in a service that speaks S3. Archives and backups live there.
 *
 * An object is there whole or not at all, and once there it never changes: put() never overwrites. It is gone again by
 * delete() only.
 *
 *   name       "base/2026-11/000017.seg": parts of letters, digits and - _ = + , @ ! . between slashes, none of them empty or
 *              beginning with a dot. At most PD_OBJECT_NAME_MAX bytes, PD_OBJECT_PARTS_MAX parts of PD_OBJECT_PART_MAX each:
 *              what every store can keep. No name goes on, behind a slash, from the name of another object ("a" and "a/b").
 *   order      of bytes; lists come in it, and paging goes on behind a name
 *   durable    what put() has answered with 0, or PD_EXISTS, and what delete() has answered with 0, stays so; of what is put
 *              `later`, when flush() has answered with 0. What get(), head() and list() show may be of a process that died
 *              before it had got its answer: pd_object_settle()
 *
 * Threads: calls block, for seconds or longer, so they are for threads that may wait. A store is used by one thread at a
 * time; whoever wants to do several things at once opens it several times.
 *
 * Errors: pd_code_retryable() of the code tells whether trying the very same again may help; what helps within some seconds
 * (a busy service, a lost connection) has been tried before an error is returned. After an error of put() other than PD_EXISTS
 * the object may be there or not (and then is whole), since a reply may be lost: put again, and it is one or the other. */
#ifndef PD_PROVIDER_OBJECT_STORE_H
#define PD_PROVIDER_OBJECT_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"
#include "crypto/digest.h"

#define PD_OBJECT_NAME_MAX     512
#define PD_OBJECT_PART_MAX     200
#define PD_OBJECT_PARTS_MAX    16
#define PD_OBJECT_PAGE_MAX     1000
#define PD_OBJECT_SIZE_UNKNOWN UINT64_MAX

struct pd_object_store;

/* Where an object's bytes come from. They are asked for once, from front to end. */
struct pd_object_source {
	/* The next `size` bytes; fewer only at the end. A failure ends the put with its code and text. */
	int (*read)(void *context, void *data, size_t size, size_t *ret_size, struct pd_error *err);
	void *context;
	/* The same without a copy, where they are in memory anyway; NULL: they are not. Some of the next bytes, at most `size` and
	 * valid as long as the source is; none: that was all. A store asks in one way or in the other. */
	int (*view)(void *context, size_t size, struct pd_slice *ret_bytes, struct pd_error *err);
};

/* Where they go. Each byte comes once, in order. */
struct pd_object_sink {
	int (*write)(void *context, const void *data, size_t size, struct pd_error *err);
	void *context;
};

/* Who follows long work, and may end it. */
struct pd_object_watch {
	/* Called by the calling thread after every piece, and every second or so while waiting, with the bytes of this call so
	 * far. False: the call ends with PD_CANCELLED. */
	bool (*go_on)(void *context, uint64_t done_bytes);
	void *context;
};

struct pd_object_put_options {
	/* What the content must be, or PD_CORRUPT and there is no object: for a source that may have been damaged since. */
	uint64_t size;         /* or PD_OBJECT_SIZE_UNKNOWN */
	const uint8_t *sha256; /* PD_SHA256_SIZE bytes, or NULL */
	/* Nobody can delete it before (microseconds since 1970), where the store has PD_OBJECT_CAN_RETAIN. 0: nothing of the kind. */
	uint64_t retain_until_us;
	/* It need be neither durable nor seen before pd_object_flush(): many together cost a store less than each by itself. 0 says
	 * that its bytes were taken; an error of such a put may be that of an earlier one, as flush() has it. */
	bool later;
};
#define PD_OBJECT_PUT_OPTIONS_DEFAULT ((struct pd_object_put_options){ .size = PD_OBJECT_SIZE_UNKNOWN })

struct pd_object_receipt {
	uint64_t size;
	uint8_t sha256[PD_SHA256_SIZE];
};

struct pd_object_entry {
	char *name;
	uint64_t size;
};

/* A piece of a list. Free with pd_object_page_done(). */
struct pd_object_page {
	struct pd_object_entry *entries; /* by name, each once */
	size_t count, capacity;
	bool more; /* there are others behind the last */
};

enum pd_object_capability {
	PD_OBJECT_CAN_RETAIN = 1 << 0, /* retain_until_us */
};

/* The contract. Wrapped by the functions below, which carry what holds for all: call those. */
struct pd_object_store_ops {
	int abi; /* PD_OBJECT_STORE_ABI */
	const char *kind;
	unsigned capabilities; /* enum pd_object_capability */
	void (*free)(struct pd_object_store *store);
	/* Reads `source` until it gives less than it was asked for, and only then makes the object visible. */
	int (*put)(struct pd_object_store *store, const char *name, const struct pd_object_source *source,
		   const struct pd_object_put_options *options, struct pd_error *err);
	int (*get)(struct pd_object_store *store, const char *name, uint64_t offset, uint64_t size,
		   const struct pd_object_sink *sink, struct pd_error *err);
	int (*head)(struct pd_object_store *store, const char *name, uint64_t *ret_size,
		    struct pd_error *err);
	/* All entries from behind `after` up to some name, in any order, also repeated (the wrapper puts that right), by
	 * pd_object_page_add(); at least one where there is `more`. */
	int (*list)(struct pd_object_store *store, const char *prefix, const char *after, size_t limit,
		    struct pd_object_page *page, struct pd_error *err);
	int (*delete)(struct pd_object_store *store, const char *name, struct pd_error *err);
	int (*sweep)(struct pd_object_store *store, uint64_t older_than_s, uint64_t *ret_count,
		     struct pd_error *err);
	/* NULL: nothing is left for later. */
	int (*flush)(struct pd_object_store *store, struct pd_error *err);
	/* NULL: what is seen stays so. */
	int (*settle)(struct pd_object_store *store, const char *prefix, struct pd_error *err);
};
#define PD_OBJECT_STORE_ABI 3

/* First member of every implementation. */
struct pd_object_store {
	const struct pd_object_store_ops *ops;
	char *address; /* for messages: "/backup", "s3://bucket/prefix" */
	struct pd_object_watch watch;
	uint64_t done_bytes; /* of the call in progress */
};

/* NULL is fine. */
void pd_object_store_free(struct pd_object_store *store);
/* For messages; lives as long as the store. */
const char *pd_object_store_address(const struct pd_object_store *store);
bool pd_object_store_can(const struct pd_object_store *store, enum pd_object_capability capability);
/* Who is told of the calls from here on; NULL: nobody. */
void pd_object_store_watch(struct pd_object_store *store, const struct pd_object_watch *watch);

/* Make an object of all that the source gives. `options` NULL: the default. `ret_receipt` (NULL is fine) is filled when
 * it returns 0, and tells what was read.
 * Errors: PD_EXISTS: there is one of that name, whatever its content, and it stays. PD_INVALID: the name is none. PD_CORRUPT:
 * the source has other bytes than announced. PD_NOT_SUPPORTED: nothing can be retained there. Those of the source. */
PD_MUST_CHECK int pd_object_put(struct pd_object_store *store, const char *name,
				const struct pd_object_source *source,
				const struct pd_object_put_options *options,
				struct pd_object_receipt *ret_receipt, struct pd_error *err);
/* The same with bytes that are in memory. */
PD_MUST_CHECK int pd_object_put_bytes(struct pd_object_store *store, const char *name, struct pd_slice bytes,
				      const struct pd_object_put_options *options, struct pd_error *err);
/* The same with bytes that lie in several places, one behind the other. */
PD_MUST_CHECK int pd_object_put_slices(struct pd_object_store *store, const char *name,
				       const struct pd_slice *slices, size_t count,
				       const struct pd_object_put_options *options, struct pd_error *err);
/* All that was put `later` is there, and stays so: ours, or what somebody else has put under its name meanwhile. After an error each of
 * them may be there (whole) or not, and nothing is left of the others: put them again. What was not flushed when the store is
 * freed is gone. */
PD_MUST_CHECK int pd_object_flush(struct pd_object_store *store, struct pd_error *err);

/* `size` bytes from `offset` on, fewer where the object ends; PD_OBJECT_SIZE_UNKNOWN: to its end. `sha256` (NULL: unchecked)
 * is of what is asked for: PD_CORRUPT when it was something else; so what the sink got counts for something only when it
 * returns 0. `ret_size` (NULL is fine): how many bytes there were. PD_NOT_FOUND. Those of the sink. */
PD_MUST_CHECK int pd_object_get(struct pd_object_store *store, const char *name, uint64_t offset,
				uint64_t size, const uint8_t *sha256, const struct pd_object_sink *sink,
				uint64_t *ret_size, struct pd_error *err);
/* The whole object behind what is in the buffer; PD_TOO_LARGE past the buffer's maximum. After an error the buffer is as it was. */
PD_MUST_CHECK int pd_object_get_bytes(struct pd_object_store *store, const char *name, const uint8_t *sha256,
				      struct pd_buffer *buffer, struct pd_error *err);
/* Its size, and that it is there. PD_NOT_FOUND. */
PD_MUST_CHECK int pd_object_head(struct pd_object_store *store, const char *name, uint64_t *ret_size,
				 struct pd_error *err);
/* Objects whose names begin with `prefix` ("": all) and come behind `after` ("" or NULL: from the first), `limit` of them
 * at most (1 to PD_OBJECT_PAGE_MAX). An object that is put or deleted meanwhile is in the list or not. */
PD_MUST_CHECK int pd_object_list(struct pd_object_store *store, const char *prefix, const char *after,
				 size_t limit, struct pd_object_page *ret_page, struct pd_error *err);
void pd_object_page_done(struct pd_object_page *page);
/* 0 also if it is not there. PD_PERMISSION: it is retained, or not ours to delete. */
PD_MUST_CHECK int pd_object_delete(struct pd_object_store *store, const char *name, struct pd_error *err);
/* Which objects are seen whose names begin with `prefix` ("": all), and which not, stays so, whoever put or deleted them: for those who go on where another process may
 * have died, and rely on what they find. Costs about as much as listing them. */
PD_MUST_CHECK int pd_object_settle(struct pd_object_store *store, const char *prefix, struct pd_error *err);
/* Remove what puts have left over that were never finished, of processes that are gone or, where nobody can know that, of puts that
 * began so long ago. `ret_count` (NULL is fine): of how many. */
PD_MUST_CHECK int pd_object_sweep(struct pd_object_store *store, uint64_t older_than_s, uint64_t *ret_count,
				  struct pd_error *err);

#endif
