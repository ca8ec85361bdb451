// The pages of the API's documentation. Requests are made as the one who is logged in.
SwaggerUIBundle({
  dom_id: "#reference",
  url: document.body.dataset.document,
  // Else it asks another host whether the document is valid.
  validatorUrl: null,
  deepLinking: true,
  docExpansion: "list",
  filter: true,
  displayOperationId: true,
  displayRequestDuration: true,
});
