// The pages of the API documentation. Requests are sent as the user who is logged in.
SwaggerUIBundle({
  dom_id: "#reference",
  url: document.body.dataset.document,
  // Otherwise, it sends the document to another host for validation.
  validatorUrl: null,
  deepLinking: true,
  docExpansion: "list",
  filter: true,
  displayOperationId: true,
  displayRequestDuration: true,
});
