extension String {
  /// Cut for a message.
  var clipped: String {
    unicodeScalars.count <= 60 ? self : String(String.UnicodeScalarView(unicodeScalars.prefix(59))) + "…"
  }
}
