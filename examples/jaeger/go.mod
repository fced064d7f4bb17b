// Only to build Jaeger 2.13 (https://github.com/jaegertracing/jaeger, Apache-2.0): `make jaeger`. Its releases of
// version 2 carry version 1 as Go modules; `go install` refuses it for the line below, which is Jaeger's own.
module jaeger

go 1.25

require github.com/jaegertracing/jaeger v1.76.0

replace github.com/Shopify/sarama => github.com/Shopify/sarama v1.33.0
