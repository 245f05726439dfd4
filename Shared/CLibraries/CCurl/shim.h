#pragma once
#include <curl/curl.h>
// The event loop under the multi handle; the Glibc module does not have them.
#include <sys/epoll.h>
#include <sys/eventfd.h>

// curl_easy_setopt, curl_easy_getinfo and curl_multi_setopt are variadic, which Swift cannot call.
static inline CURLcode martlet_curl_set_long(CURL *h, CURLoption o, long v) { return curl_easy_setopt(h, o, v); }
static inline CURLcode martlet_curl_set_string(CURL *h, CURLoption o, const char *v) { return curl_easy_setopt(h, o, v); }
static inline CURLcode martlet_curl_set_pointer(CURL *h, CURLoption o, const void *v) { return curl_easy_setopt(h, o, v); }
static inline CURLcode martlet_curl_get_long(CURL *h, CURLINFO i, long *v) { return curl_easy_getinfo(h, i, v); }
static inline CURLcode martlet_curl_get_pointer(CURL *h, CURLINFO i, void **v) { return curl_easy_getinfo(h, i, v); }
static inline CURLcode martlet_curl_set_write(CURL *h, curl_write_callback f, void *context) {
  CURLcode code = curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, f);
  return code != CURLE_OK ? code : curl_easy_setopt(h, CURLOPT_WRITEDATA, context);
}
static inline CURLcode martlet_curl_set_header(CURL *h, curl_write_callback f, void *context) {
  CURLcode code = curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, f);
  return code != CURLE_OK ? code : curl_easy_setopt(h, CURLOPT_HEADERDATA, context);
}
static inline CURLMcode martlet_curl_multi_set_long(CURLM *m, CURLMoption o, long v) { return curl_multi_setopt(m, o, v); }
static inline CURLMcode martlet_curl_multi_set_socket(CURLM *m, curl_socket_callback f, void *context) {
  CURLMcode code = curl_multi_setopt(m, CURLMOPT_SOCKETFUNCTION, f);
  return code != CURLM_OK ? code : curl_multi_setopt(m, CURLMOPT_SOCKETDATA, context);
}
// What a finished transfer's message holds is a union, which Swift sees but cannot read without unsafe casts.
static inline CURLcode martlet_curl_result(const CURLMsg *m) { return m->data.result; }
