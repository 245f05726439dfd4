import CRdKafka

extension KafkaError {
  /// The error of a librdkafka code, with `detail` where the code alone says too little.
  init(_ code: rd_kafka_resp_err_t, detail: String? = nil, isFatal: Bool = false) {
    let name = rd_kafka_err2name(code).map { String(cString: $0) } ?? "\(code.rawValue)"
    let text = detail ?? rd_kafka_err2str(code).map { String(cString: $0) } ?? "unknown error"
    self.init(
      code: code.rawValue, message: "\(name): \(text)",
      isRetryable: !isFatal && !Self.permanent.contains(code.rawValue), isFatal: isFatal)
  }

  /// Takes the error that a librdkafka call returned, and frees it; `nil` for success.
  init?(taking error: OpaquePointer?) {
    guard let error else { return nil }
    defer { rd_kafka_error_destroy(error) }
    let detail = rd_kafka_error_string(error).map { String(cString: $0) }
    self.init(rd_kafka_error_code(error), detail: detail, isFatal: rd_kafka_error_is_fatal(error) != 0)
  }

  /// The client was shut down or closed.
  static let closed = KafkaError(RD_KAFKA_RESP_ERR__DESTROY, detail: "the client is closed")

  /// Codes that sending the same bytes again cannot mend.
  private static let permanent: Set<Int32> = Set(
    [
      RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, RD_KAFKA_RESP_ERR_INVALID_MSG,
      RD_KAFKA_RESP_ERR_INVALID_RECORD, RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE,
      RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION, RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP,
      RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
      RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED,
      RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION, RD_KAFKA_RESP_ERR_INVALID_CONFIG,
      RD_KAFKA_RESP_ERR_INVALID_PARTITIONS, RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR,
      RD_KAFKA_RESP_ERR_POLICY_VIOLATION, RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE,
      RD_KAFKA_RESP_ERR__BAD_MSG, RD_KAFKA_RESP_ERR__INVALID_ARG,
    ].map(\.rawValue))
}
