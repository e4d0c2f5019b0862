/* HTTP/1.1 as bytes: a request's head out of an input, a response with its head into an output. No I/O.
 *
 * Strict where laxness has let requests be smuggled past somebody: lines end with CR LF, a name stands right before its
 * colon, nothing is folded, a length is said once, Host exactly once. Requests whose body comes in chunks are refused:
 * nothing behind this door takes one.
 *
 * Sources: RFC 9110 (semantics), RFC 9112 (HTTP/1.1), RFC 9457 (problem details). */
#ifndef PD_WIRE_HTTP_H
#define PD_WIRE_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"

#define PD_HTTP_HEAD_MAX   8192u /* request line and fields */
#define PD_HTTP_FIELDS_MAX 64u
#define PD_HTTP_BODY_MAX   8192u /* is read and forgotten */

struct pd_http_field {
	struct pd_slice name, value;
};

/* Its slices point into the input. */
struct pd_http_request {
	struct pd_slice method, path, query; /* query: what follows "?", without it */
	bool keep_alive;
	struct pd_http_field fields[PD_HTTP_FIELDS_MAX];
	size_t field_count;
};

enum pd_http_outcome {
	PD_HTTP_REQUEST,
	PD_HTTP_MORE,      /* not all of it is there yet */
	PD_HTTP_MALFORMED, /* answer with *ret_status and close: where the next request begins, nobody knows */
};

/* Look for one request at the front of the input. PD_HTTP_REQUEST: *ret_consumed bytes, its body included, are to be
 * dropped when it has been dealt with. PD_HTTP_MALFORMED: *ret_status is the answer's, *ret_why says what is wrong. */
enum pd_http_outcome pd_http_parse(struct pd_slice input, struct pd_http_request *ret_request,
				   size_t *ret_consumed, unsigned *ret_status, const char **ret_why);

/* The value of a field; size 0 and data NULL: it is not there. Fields that may come more than once: the first. */
struct pd_slice pd_http_field(const struct pd_http_request *request, const char *name);
/* Which of `types` ("text/plain", ended by NULL) does the request's Accept like best? Among equals the first; without
 * Accept, and where none is acceptable, also the first: an answer in another form is better than none. */
size_t pd_http_choose_type(const struct pd_http_request *request, const char *const *types);

struct pd_http_response {
	unsigned status;
	const char *content_type;
	struct pd_slice body;
	bool head_only; /* HEAD: the length is told, the body is not sent */
	bool close;
	const char *allow;      /* with 405; NULL: none */
	const char *challenge;  /* with 401: of WWW-Authenticate; NULL: none */
	unsigned retry_after_s; /* 0: none */
	uint64_t real_us;       /* for Date */
};

/* Append it; all or nothing. PD_TOO_LARGE, PD_NO_MEMORY. */
PD_MUST_CHECK int pd_http_write(struct pd_buffer *output, const struct pd_http_response *response);
/* Append problem details in JSON. `detail` may hold any bytes. */
PD_MUST_CHECK int pd_http_write_problem(struct pd_buffer *body, unsigned status, const char *detail);
/* "Not Found"; "Status" for one that has no words here. */
const char *pd_http_status_text(unsigned status);

#endif
