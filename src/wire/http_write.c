/* Responses of HTTP/1.1. */
#include <stdio.h>
#include <time.h>

#include "base/utf8.h"
#include "wire/http.h"

const char *pd_http_status_text(unsigned status)
{
	static const struct {
		unsigned status;
		const char *text;
	} texts[] = {
		{ 200, "OK" },
		{ 400, "Bad Request" },
		{ 401, "Unauthorized" },
		{ 403, "Forbidden" },
		{ 404, "Not Found" },
		{ 405, "Method Not Allowed" },
		{ 408, "Request Timeout" },
		{ 413, "Content Too Large" },
		{ 417, "Expectation Failed" },
		{ 431, "Request Header Fields Too Large" },
		{ 500, "Internal Server Error" },
		{ 501, "Not Implemented" },
		{ 503, "Service Unavailable" },
		{ 505, "HTTP Version Not Supported" },
	};

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		if (texts[i].status == status)
			return texts[i].text;
	return "Status";
}

/* RFC 9110, 5.6.7: always in English, whatever the locale. */
static int write_date(struct pd_buffer *output, uint64_t real_us)
{
	static const char days[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	time_t seconds = (time_t)(real_us / 1000000);
	struct tm parts;

	if (gmtime_r(&seconds, &parts) == NULL)
		return 0;
	return pd_buffer_printf(output, "Date: %.3s, %02d %.3s %d %02d:%02d:%02d GMT\r\n",
				days + 3 * parts.tm_wday, parts.tm_mday, months + 3 * parts.tm_mon,
				parts.tm_year + 1900, parts.tm_hour, parts.tm_min, parts.tm_sec);
}

static int write_all(struct pd_buffer *output, const struct pd_http_response *response)
{
	int result = pd_buffer_printf(output,
				      "HTTP/1.1 %u %s\r\n"
				      "Content-Type: %s\r\n"
				      "Content-Length: %zu\r\n"
				      "Cache-Control: no-store\r\n"
				      "X-Content-Type-Options: nosniff\r\n",
				      response->status, pd_http_status_text(response->status),
				      response->content_type, response->body.size);

	if (result == 0)
		result = write_date(output, response->real_us);
	if (result == 0 && response->allow != NULL)
		result = pd_buffer_printf(output, "Allow: %s\r\n", response->allow);
	if (result == 0 && response->challenge != NULL)
		result = pd_buffer_printf(output, "WWW-Authenticate: %s\r\n", response->challenge);
	if (result == 0 && response->retry_after_s > 0)
		result = pd_buffer_printf(output, "Retry-After: %u\r\n", response->retry_after_s);
	/* HTTP/1.0 keeps a connection only when it is told so. */
	if (result == 0)
		result = pd_buffer_printf(output, "Connection: %s\r\n\r\n",
					  response->close ? "close" : "keep-alive");
	if (result == 0 && !response->head_only)
		result = pd_buffer_append_slice(output, response->body);
	return result;
}

int pd_http_write(struct pd_buffer *output, const struct pd_http_response *response)
{
	size_t before = output->size;
	int result = write_all(output, response);

	if (result != 0)
		output->size = before;
	return result;
}

int pd_http_write_problem(struct pd_buffer *body, unsigned status, const char *detail)
{
	int result = pd_buffer_printf(body,
				      "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%u,\"detail\":",
				      pd_http_status_text(status), status);

	if (result == 0)
		result = pd_append_json_string(body, pd_slice_string(detail));
	return result == 0 ? pd_buffer_append(body, "}\n", 2) : result;
}
