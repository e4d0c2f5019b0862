/* RESP, the Redis protocol, versions 2 and 3: bytes in, requests out; replies as bytes. No I/O.
 *
 * Source: https://redis.io/docs/reference/protocol-spec/ */
#ifndef PD_WIRE_RESP_H
#define PD_WIRE_RESP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"

/* The limits of Redis itself (of the number of arguments: up to 6.2; 7 takes up to INT_MAX). */
#define PD_RESP_ARGUMENTS_MAX (1024 * 1024)
#define PD_RESP_BULK_MAX      (512u * 1024 * 1024)
#define PD_RESP_INLINE_MAX    (64 * 1024)

/* ---- requests ---- */

/* One command: its words point into the input that was parsed (or, for an inline command with quotes, into the
 * parser), until the next call. The array is the parser's, also until the next call. */
struct pd_resp_request {
	struct pd_slice *arguments;
	size_t count; /* 0: an empty line or array, to be skipped */
};

enum pd_resp_status {
	PD_RESP_REQUEST,   /* a request is there */
	PD_RESP_MORE,      /* not enough bytes yet */
	PD_RESP_MALFORMED, /* the error text says what; the connection can only be closed */
};

/* Remembers how far an unfinished request was understood, so that bytes are looked at once. */
struct pd_resp_parser;
/* The input of one connection may not hold more than `request_bytes_max` for one request; a longer one is
 * malformed ("ERR Protocol error: too big request"), said as soon as it is known. NULL: no memory. */
struct pd_resp_parser *pd_resp_parser_new(size_t request_bytes_max);
void pd_resp_parser_free(struct pd_resp_parser *parser);

/* Look for one request at the front of the input. `data` must begin where the previous request ended, and hold
 * what the previous call saw plus what has come since; it may have moved in memory.
 * PD_RESP_REQUEST: *ret_request, and *ret_consumed bytes to drop from the front once it is dealt with.
 * PD_RESP_MORE: *ret_wanted is how many bytes in total the request is known to need by now (a hint for the size
 * of the input buffer: grow as bytes come, never on a stranger's word alone).
 * PD_RESP_MALFORMED: err->text is Redis's own, without "-": "ERR Protocol error: invalid bulk length" …,
 * "ERR Protocol error: too big inline request", "ERR Protocol error: unbalanced quotes in request", …
 * err->code is PD_INVALID; or PD_NO_MEMORY, when there was no memory for the arguments: the same call may then
 * be made again. `err` may be NULL.
 * Like Redis: any byte is taken for the "\n" of a header, and any two for the "\r\n" after an argument. Unlike
 * Redis: a NUL byte in a header or an inline command is a byte like any other (Redis waits for ever). */
enum pd_resp_status pd_resp_parse(struct pd_resp_parser *parser, const uint8_t *data, size_t size,
				  struct pd_resp_request *ret_request, size_t *ret_consumed,
				  size_t *ret_wanted, struct pd_error *err);

/* Pass over the unfinished request of which pd_resp_parse() has said PD_RESP_MORE: nobody wants it. Called instead of
 * pd_resp_parse(), with the same bytes and then with what has come, until PD_RESP_REQUEST. *ret_consumed bytes are to be
 * dropped from the front each time, also with PD_RESP_MORE. PD_RESP_MALFORMED as above, and for a request of which not even
 * the header is complete; no memory is needed. */
enum pd_resp_status pd_resp_skip(struct pd_resp_parser *parser, const uint8_t *data, size_t size,
				 size_t *ret_consumed, struct pd_error *err);
/* Of the unfinished request of which pd_resp_parse() has said PD_RESP_MORE: the argument that is arriving. */
struct pd_resp_arriving {
	const struct pd_slice *arguments; /* those before it, `count` of them */
	size_t count, expected;           /* … and how many there will be */
	size_t at, size;                  /* where in the input it begins, and how large it will be */
};
/* false: nothing is known of one yet. */
bool pd_resp_arriving(const struct pd_resp_parser *parser, struct pd_resp_arriving *ret_arriving);
/* The caller has taken `size` bytes of it out of the input, from where it begins: the argument is what is left, though its header
 * says more. So it stays, should the request be parsed again, until it is dealt with. */
void pd_resp_take_arriving(struct pd_resp_parser *parser, size_t size);
void pd_resp_taken_done(struct pd_resp_parser *parser);
/* Bytes that the parser has allocated. */
size_t pd_resp_parser_memory(const struct pd_resp_parser *parser);

/* ---- replies ---- */

/* Writes one reply after another into a buffer. With protocol 2 the RESP3 kinds become what a RESP2 client
 * expects (map and set: array; double: bulk; null: $-1 or *-1; boolean: 0 or 1; push: array; verbatim: bulk).
 * The first failure (no memory, the buffer's maximum) is kept in `failed` and everything after it does nothing:
 * check once at the end. */
/* A bulk whose bytes are not in the buffer: whoever sends it asks the source for them at that place. */
struct pd_resp_hole {
	size_t at; /* offset in the buffer */
	void *source;
};
#define PD_RESP_STORED 4 /* to be kept for pd_resp_transcode(): RESP3, yet the null array stays "*-1" */
struct pd_resp_writer {
	struct pd_buffer *buffer;
	int protocol; /* 2, 3 or PD_RESP_STORED */
	int failed;   /* 0, PD_NO_MEMORY or PD_TOO_LARGE */
	struct pd_resp_hole
		*holes; /* where holes are told, up to hole_max of them; NULL: there may be none */
	size_t hole_count, hole_max;
};

void pd_resp_write_status(struct pd_resp_writer *writer, const char *text); /* "+OK" */
/* `text` begins with the prefix ("WRONGTYPE Operation …"); line breaks in it become spaces. */
void pd_resp_write_error(struct pd_resp_writer *writer, const char *text);
void pd_resp_write_errorf(struct pd_resp_writer *writer, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void pd_resp_write_integer(struct pd_resp_writer *writer, int64_t number);
void pd_resp_write_bulk(struct pd_resp_writer *writer, struct pd_slice bytes);
/* A bulk of `size` bytes, which follow as raw pieces, and then "\r\n". There is room for all of it then. */
void pd_resp_write_bulk_begin(struct pd_resp_writer *writer, size_t size);
/* A bulk of which `source` has the bytes. There must be room in `holes`. */
void pd_resp_write_bulk_hole(struct pd_resp_writer *writer, uint64_t size, void *source);
void pd_resp_write_bulk_string(struct pd_resp_writer *writer, const char *string);
void pd_resp_write_bulk_integer(struct pd_resp_writer *writer, int64_t number); /* the number as bulk text */
void pd_resp_write_verbatim(struct pd_resp_writer *writer, const char *type3, struct pd_slice text);
void pd_resp_write_null(struct pd_resp_writer *writer);       /* _ or $-1 */
void pd_resp_write_null_array(struct pd_resp_writer *writer); /* _ or *-1 */
void pd_resp_write_double(struct pd_resp_writer *writer, double number);
void pd_resp_write_boolean(struct pd_resp_writer *writer, bool value);
void pd_resp_write_array(struct pd_resp_writer *writer, size_t count); /* then `count` replies */
void pd_resp_write_map(struct pd_resp_writer *writer, size_t count);   /* then 2 * `count` replies */
void pd_resp_write_set(struct pd_resp_writer *writer, size_t count);
void pd_resp_write_push(struct pd_resp_writer *writer, size_t count);
void pd_resp_write_raw(struct pd_resp_writer *writer, struct pd_slice bytes); /* replies already encoded */

/* Rewrite one reply, as stored with an idempotency key (PD_RESP_STORED; RESP3 is read too, but has only one null
 * for RESP2's two, and becomes "$-1"), for this writer's protocol. PD_CORRUPT if it is not exactly one
 * well-formed reply: nothing is written then. Else writer->failed. */
PD_MUST_CHECK int pd_resp_transcode(struct pd_slice reply3, struct pd_resp_writer *writer);

/* ---- replies, from the client's side (benchmarks, the commands that talk to a server) ---- */

/* The size of the one reply at the front of `data` (RESP2 or RESP3), 0 when it is not complete, (size_t)-1 when
 * malformed. */
size_t pd_resp_reply_size(const uint8_t *data, size_t size);

enum pd_reply_kind {
	PD_REPLY_TEXT, /* a status, a bulk, verbatim text without its mark, a double or a large number as it is written */
	PD_REPLY_ERROR,   /* `text`, without "-" */
	PD_REPLY_INTEGER, /* or a boolean: 0 or 1 */
	PD_REPLY_NULL,
	PD_REPLY_LIST, /* array, map, set or push: `count` replies follow; a map's names and values each count */
};

/* One reply, without its children. */
struct pd_reply {
	enum pd_reply_kind kind;
	char mark; /* its first byte on the wire, for who shows more than the kind: '%' a map, ',' a double … */
	struct pd_slice text; /* points into what was read */
	int64_t integer;
	size_t count;
};

/* Read the reply at the front of `rest`, which then begins with the reply's first child or with what follows. `rest` begins
 * with as many complete replies as are read: pd_resp_reply_size() has said so. Attributes are passed over. */
struct pd_reply pd_reply_read(struct pd_slice *rest);
/* Pass over one reply with all its children. */
void pd_reply_skip(struct pd_slice *rest);
/* Find the value of `name` among the names and values of the map (or flat array) at the front of `reply`; *ret_value begins
 * with it. false: it is not there, or the reply is no list. */
bool pd_reply_field(struct pd_slice reply, const char *name, struct pd_slice *ret_value);

#endif
