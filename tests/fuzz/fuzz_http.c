/* Requests of HTTP: what is taken as a whole must be refused or taken alike when it comes in pieces, and what was taken
 * lies inside of what was given. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "wire/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_inside(struct pd_slice whole, struct pd_slice part)
{
	PD_ASSERT(part.size == 0 ||
		  (part.data >= whole.data && part.data + part.size <= whole.data + whole.size));
}

static enum pd_http_outcome parse(const uint8_t *data, size_t size, size_t *ret_consumed,
				  unsigned *ret_status)
{
	static const char *const types[] = { "text/plain", "application/json", NULL };
	struct pd_http_request request;
	uint8_t *copy = malloc(size > 0 ? size : 1);
	struct pd_slice input = pd_slice(copy, size);
	enum pd_http_outcome outcome;
	const char *why = NULL;

	PD_ASSERT(copy != NULL);
	memcpy(copy, data, size);
	outcome = pd_http_parse(input, &request, ret_consumed, ret_status, &why);
	if (outcome == PD_HTTP_REQUEST) {
		PD_ASSERT(*ret_consumed > 0 && *ret_consumed <= size);
		check_inside(input, request.method);
		check_inside(input, request.path);
		check_inside(input, request.query);
		for (size_t i = 0; i < request.field_count; i++) {
			check_inside(input, request.fields[i].name);
			check_inside(input, request.fields[i].value);
		}
		PD_ASSERT(pd_http_choose_type(&request, types) < 2);
	} else if (outcome == PD_HTTP_MALFORMED) {
		PD_ASSERT(*ret_status >= 400 && why != NULL);
	}
	free(copy);
	return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t consumed = 0, consumed_piece = 0;
	unsigned status = 0, status_piece = 0;
	enum pd_http_outcome whole, piece = PD_HTTP_MORE;

	if (size > 4 * PD_HTTP_HEAD_MAX)
		return 0;
	whole = parse(data, size, &consumed, &status);
	for (size_t end = 0; end <= size && piece == PD_HTTP_MORE; end += 1 + end / 16)
		piece = parse(data, end, &consumed_piece, &status_piece);
	/* What a beginning has decided stays so. */
	if (piece != PD_HTTP_MORE)
		PD_ASSERT(piece == whole && consumed_piece == consumed && status_piece == status);
	return 0;
}
