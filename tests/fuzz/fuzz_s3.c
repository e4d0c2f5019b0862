/* What object stores and those who know their keys answer with: XML, whose texts are told with the paths of their elements, and fields of
 * flat JSON. The first byte chooses. */
#include "input.h"
#include "provider/s3/json_fields.h"
#include "provider/s3/xml.h"

#define PATH_MAX_SIZE 256u
#define TEXT_MAX      (16u * 1024)

struct seen {
	unsigned texts, ends;
};

static void check_path(const char *path)
{
	size_t size = strlen(path);

	PD_ASSERT(size > 0 && size < PATH_MAX_SIZE);
	PD_ASSERT(path[0] != '/' && path[size - 1] != '/' && strstr(path, "//") == NULL);
}

static int take_text(void *context, const char *path, const char *text)
{
	struct seen *seen = context;

	check_path(path);
	PD_ASSERT(strlen(text) <= TEXT_MAX);
	seen->texts++;
	return 0;
}

static int take_end(void *context, const char *path)
{
	struct seen *seen = context;

	check_path(path);
	seen->ends++;
	PD_ASSERT(seen->texts <= seen->ends + 1);
	return 0;
}

static void read_xml(struct pd_slice document)
{
	struct seen seen = { 0 };
	struct pd_s3_xml_reader reader = { .text = take_text, .end = take_end, .context = &seen };
	int result = pd_s3_xml_read(document, &reader);

	PD_ASSERT(result == 0 || result == PD_CORRUPT);
	PD_ASSERT(result != 0 || seen.ends > 0);
	/* Entities make much of little: whoever declares them is refused. */
	if (document.size > 0 && memmem(document.data, document.size, "<!ENTITY", 8) != NULL && result == 0)
		PD_ASSERT(memmem(document.data, document.size, "<!--", 4) != NULL ||
			  memmem(document.data, document.size, "<![CDATA[", 9) != NULL ||
			  memmem(document.data, document.size, "<?", 2) != NULL);
}

static void read_json(struct input *input)
{
	struct pd_slice name = take_piece(input);
	uint8_t *copy = copy_bytes(pd_slice(input->data, input->size));
	struct pd_buffer text;
	char field[256];
	int result;

	memcpy(field, name.size > 0 ? name.data : (const uint8_t *)"", name.size);
	field[name.size] = '\0';
	pd_buffer_init(&text, 4096);
	result = pd_s3_json_field(pd_slice(copy, input->size), field, &text);
	PD_ASSERT(result == 0 || result == PD_NOT_FOUND || result == PD_CORRUPT || result == PD_TOO_LARGE);
	if (result == 0)
		PD_ASSERT(text.size > 0 && text.data[text.size - 1] == '\0');
	pd_buffer_done(&text);
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };
	bool json = take_byte(&input) % 2 != 0;
	uint8_t *copy;

	if (json) {
		read_json(&input);
		return 0;
	}
	copy = copy_bytes(pd_slice(input.data, input.size));
	read_xml(pd_slice(copy, input.size));
	free(copy);
	return 0;
}
