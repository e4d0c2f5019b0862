/* Reading the XML that S3 and STS answer with: what elements hold as text, by their paths. Only here expat. */
#ifndef PD_PROVIDER_S3_XML_H
#define PD_PROVIDER_S3_XML_H

#include "base/error.h"
#include "base/slice.h"

struct pd_s3_xml_reader {
	/* An element with text, which has ended: "ListBucketResult/Contents/Key". PD_NO_MEMORY ends it. */
	int (*text)(void *context, const char *path, const char *text);
	/* Any element that has ended; NULL: nobody asks. */
	int (*end)(void *context, const char *path);
	void *context;
};

/* Namespaces are ignored. PD_CORRUPT: it is no XML, or has what these services never send (a document type, texts or nesting
 * beyond measure); what the reader said. */
PD_MUST_CHECK int pd_s3_xml_read(struct pd_slice document, const struct pd_s3_xml_reader *reader);

#endif
